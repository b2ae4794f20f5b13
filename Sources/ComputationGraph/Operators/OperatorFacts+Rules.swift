internal import ONNX

/// Rules that many operators share.
extension OperatorFacts {
    // MARK: Zeros

    /// Zeros pass from the first input alone.
    static let inFirst: @Sendable (InputSlot) -> Bool = { $0.slot == 0 }
    /// Zeros pass from every input.
    static let everywhere: @Sendable (InputSlot) -> Bool = { _ in true }
    /// Zeros pass from no input.
    static let nowhere: @Sendable (InputSlot) -> Bool = { _ in false }

    // MARK: Signs

    /// The output is nowhere negative.
    static let nonNegative: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { _ in .nonNegative }
    /// The output is as the first input is.
    static let signOfFirst: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { $0.sign(0) }
    /// Of the output is certain what is certain of every input.
    static let signOfAll: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { $0.least }

    // MARK: Types

    /// Always the same type.
    static func always(_ type: ElementType) -> @Sendable (OutputTyping) -> ElementType? { { _ in type } }
    /// The type of the first input, and this one for the other outputs.
    static func firstAnd(_ type: ElementType) -> @Sendable (OutputTyping) -> ElementType? {
        { $0.position == 0 ? $0.input(0) : type }
    }
    /// The type of an input.
    static func typeOf(_ slot: Int) -> @Sendable (OutputTyping) -> ElementType? { { $0.input(slot) } }

    // MARK: Sizes

    /// The first output has the first input's sizes.
    static let likeFirst: SizeRule = { tracing, output in
        output.position == 0 ? tracing.input(output.vertex, 0) : nil
    }
    /// The inputs broadcast.
    static let broadcast: SizeRule = { tracing, output in tracing.broadcast(output.vertex) }
    /// Elements are passed on.
    static let elementsOfFirst: SizeElementRule = { tracing, vertex in tracing.given(vertex, 0) }

    // MARK: Costs

    /// Moving data counts nothing.
    static let free: @Sendable (FloatingPointOperations) -> Int = { _ in 0 }
    /// One operation for each element of the first input.
    static let perInput: @Sendable (FloatingPointOperations) -> Int = { $0.inputElements }
}
