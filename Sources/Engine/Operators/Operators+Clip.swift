internal import ONNX
internal import Torch

private let clamp = Operation("aten::clamp")
private let maximum = Operation("aten::maximum")
private let minimum = Operation("aten::minimum")

/// Limiting elements to a range.
extension Operators {
    nonisolated(unsafe) static let clipping = OperatorFamily(
        ["Clip": clip],
        traits: [
            "Clip": .init(since: 6)
        ],
        operands: [.numbers: ["Clip"]])

    /// Where the lower limit is above the upper one, the upper one wins.
    private static func clip(_ context: OperatorContext) throws -> Kernel {
        if context.version < 11 {
            let lower = try context.node.float("min", default: nil)
            let upper = try context.node.float("max", default: nil)
            return context.map { try limit($0, from: lower.argument, to: upper.argument) }
        }
        let isFixed = [1, 2].allSatisfy { !context.has(input: $0) || context.constant($0) != nil }
        if isFixed {
            let lower = try context.constant(1)?.scalarArgument() ?? .none
            let upper = try context.constant(2)?.scalarArgument() ?? .none
            return context.map { try limit($0, from: lower, to: upper) }
        }
        return { inputs in
            var result = try context.required(inputs, 0)
            if let lower = context.optional(inputs, 1) {
                result = try maximum(.tensor(result), .tensor(try lower.reshaped([])))
            }
            if let upper = context.optional(inputs, 2) {
                result = try minimum(.tensor(result), .tensor(try upper.reshaped([])))
            }
            return [result]
        }
    }

    private static func limit(_ input: Tensor, from lower: Argument, to upper: Argument) throws -> Tensor {
        if case .none = lower, case .none = upper { return input }
        return try clamp(.tensor(input), lower, upper)
    }
}

extension Float? {
    /// The number, or an absent optional.
    fileprivate var argument: Argument { map { .double(Double($0)) } ?? .none }
}
