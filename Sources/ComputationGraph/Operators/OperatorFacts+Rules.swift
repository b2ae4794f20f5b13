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

    // MARK: Axes

    /// The inputs broadcast to the output, and elements correspond.
    static let alignedAxes: AxisRule = { query in
        guard let target = query.output else { return nil }
        var builder = AxisMapBuilder()
        let axes = builder.axes(target)
        var inputs: [[AxisMap.Axis]?] = []
        for (slot, shape) in query.inputs.enumerated() {
            guard slot < query.vertex.inputs.count, query.vertex.inputs[slot] != nil else {
                inputs.append(nil)
                continue
            }
            guard let shape, let operand = builder.broadcast(shape, to: axes, of: target) else { return nil }
            inputs.append(operand)
        }
        return builder.map(inputs: inputs, outputs: query.outputs.map { $0 == nil ? nil : axes })
    }

    /// Elements of the first input and the first output correspond; nothing is said of other inputs.
    static let alignedFirst: AxisRule = { query in
        guard let shape = query.input(0), query.output == shape else { return nil }
        var builder = AxisMapBuilder()
        let axes = builder.axes(shape)
        return builder.map(
            inputs: [axes] + query.inputs.dropFirst().map { _ in nil },
            outputs: query.outputs.map { $0 == shape ? axes : nil })
    }

    /// The first input and the first output correspond, and along some axes all positions go into each. The other inputs are
    /// vectors that broadcast to the last axes.
    ///
    /// - Parameters:
    ///   - kind: how they do.
    ///   - mixed: the axes along which positions mix.
    static func mixing(
        _ kind: AxisMap.Kind = .mixed, _ mixed: @escaping @Sendable (AxisQuery, Int) throws -> [Int]?
    ) -> AxisRule {
        { query in
            guard let shape = query.input(0), query.output == shape,
                let chosen = try mixed(query, shape.count)
            else { return nil }
            var builder = AxisMapBuilder()
            var axes: [AxisMap.Axis] = []
            for (axis, size) in shape.enumerated() {
                axes.append(builder.axis(size, chosen.contains(axis) ? kind : .separate))
            }
            let others = query.inputs.dropFirst().map { other in
                other.flatMap { builder.broadcast($0, to: axes, of: shape) }
            }
            // Means and deviations that are given out have one position along the axes that mix.
            let single = axes.indices.map { chosen.contains($0) ? AxisMapBuilder.one : axes[$0] }
            return builder.map(
                inputs: [axes] + others,
                outputs: query.outputs.map { $0 == nil ? nil : $0 == shape ? axes : single })
        }
    }

    // MARK: Costs

    /// Moving data counts nothing.
    static let free: @Sendable (FloatingPointOperations) -> Int = { _ in 0 }
    /// One operation for each element of the first input.
    static let perInput: @Sendable (FloatingPointOperations) -> Int = { $0.inputElements }
}
