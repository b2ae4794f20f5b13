internal import ONNX
internal import Torch

private let argmax = Operation("aten::argmax")
private let scatterValue = Operation("aten::scatter.value")
private let zerosLike = Operation("aten::zeros_like")
private let softmax = Operation("aten::softmax.int")
private let logSoftmax = Operation("aten::log_softmax.int")

/// Scores into probabilities.
extension Operators {
    nonisolated(unsafe) static let probabilities = OperatorFamily(
        [
            "Hardmax": { context in
                try alongAxis(context) { input, axis in
                    let best = try argmax(.tensor(input), .int(axis), true)
                    return try scatterValue(
                        .tensor(try zerosLike(.tensor(input))), .int(axis), .tensor(best), 1)
                }
            },
            "LogSoftmax": { context in try alongAxis(context) { try logSoftmax(.tensor($0), .int($1)) } },
            "Softmax": { context in try alongAxis(context) { try softmax(.tensor($0), .int($1)) } },
        ],
        traits: [
            "Hardmax": .init(isStepFunction: true),
            "LogSoftmax": .init(since: 1),
            "Softmax": .init(since: 1),
        ],
        operands: [.reals: ["Hardmax", "LogSoftmax", "Softmax"]])

    /// A kernel along one dimension; before opset 13, along all dimensions from it on as if they were one.
    private static func alongAxis(
        _ context: OperatorContext, _ body: @escaping (_ input: Tensor, _ axis: Int) throws -> Tensor
    ) throws -> Kernel {
        let isFlattening = context.version < 13
        let axis = try context.node.int("axis", default: isFlattening ? 1 : -1)
        return context.map { input in
            if isFlattening && axis == input.rank {
                // Nothing is left to the right: every element stands alone.
                return try body(try input.reshaped([input.count, 1]), 1).reshaped(input.shape)
            }
            let axis = try context.axis(axis, rank: input.rank)
            guard input.count > 0 else { return input }
            let isLast = input.shape.dropFirst(axis + 1).allSatisfy { $0 == 1 }
            guard isFlattening && !isLast else { return try body(input, axis) }
            let outer = input.shape[..<axis].reduce(1, *)
            return try body(try input.reshaped([outer, input.count / outer]), 1).reshaped(input.shape)
        }
    }
}
