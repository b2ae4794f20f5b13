internal import ONNX
internal import Torch

private let argmax = Operation("aten::argmax")
private let argmin = Operation("aten::argmin")
private let cumulate = Operation("aten::cumsum")
private let multiply = Operation("aten::cumprod")
private let negate = Operation("aten::rsub.Scalar")
private let sort = Operation("aten::sort.stable")

/// Where the largest elements are, and running sums and products.
extension Operators {
    nonisolated(unsafe) static let sorting: OperatorFamily = [
        "ArgMax": { try position(of: argmax, $0) },
        "ArgMin": { try position(of: argmin, $0) },
        "CumProd": { context in try running(context, neutral: 1, multiply) },
        "CumSum": { context in try running(context, neutral: 0, cumulate) },
        "TopK": topK,
    ]

    private static func position(of operation: Operation, _ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: 0)
        let keepsDimensions = try context.flag("keepdims", default: true)
        let wantsLast = try context.flag("select_last_index", default: false)
        return context.map { input in
            let axis = try context.axis(axis, rank: input.rank)
            guard wantsLast && input.rank > 0 else {
                return try operation(.tensor(input), .int(axis), .bool(keepsDimensions))
            }
            // libtorch finds the first; the first from behind is the last.
            let found = try operation(
                .tensor(try input.flipped([axis])), .int(axis), .bool(keepsDimensions))
            return try negate(.tensor(found), .int(input.shape[axis] - 1))
        }
    }

    /// Of equal elements the one that comes first is taken first.
    private static func topK(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: -1)
        let wantsLargest = try context.flag("largest", default: true)
        let fixed = context.version < 10 ? [try context.node.int("k")] : nil
        let counts = try fixed.map { fixed in { _ in fixed } } ?? context.integers(in: 1)
        return { inputs in
            let input = try context.required(inputs, 0)
            let axis = try context.axis(axis, rank: input.rank)
            guard let count = try counts(inputs)?.first else { throw context.error("k is missing") }
            let size = input.rank == 0 ? 1 : input.shape[axis]
            guard count >= 0 && count <= size else {
                throw context.error("k is \(count), but dimension \(axis) has \(size) elements")
            }
            let sorted = try sort.call([.tensor(input), true, .int(axis), .bool(wantsLargest)])
            return input.rank == 0 ? sorted : try sorted.map { try $0.sliced(axis, 0..<count) }
        }
    }

    /// Sums or products of all elements up to each; `neutral` stands for none.
    private static func running(
        _ context: OperatorContext, neutral: Argument, _ operation: Operation
    ) throws -> Kernel {
        let axes = try context.integers(in: 1)
        let isExclusive = try context.flag("exclusive", default: false)
        let isReversed = try context.flag("reverse", default: false)
        return { inputs in
            let input = try context.required(inputs, 0)
            guard let given = try axes(inputs)?.first else { throw context.error("the axis is missing") }
            let axis = try context.axis(given, rank: input.rank)
            var terms = isReversed ? try input.flipped([axis]) : input
            if isExclusive && input.rank > 0 && input.shape[axis] > 0 {
                var shape = input.shape
                shape[axis] = 1
                let none = try Tensor.constant(neutral, shape: shape, type: input.scalarType)
                terms = try Tensor.concatenated(
                    [none, try terms.sliced(axis, 0..<input.shape[axis] - 1)], along: axis)
            }
            let results = try operation(.tensor(terms), .int(axis), .type(input.scalarType))
            return [isReversed ? try results.flipped([axis]) : results]
        }
    }
}
