internal import ONNX
internal import Torch

private let logSoftmax = Operation("aten::log_softmax.int")
private let likelihood = Operation("aten::nll_loss_nd")

extension Operators {
    /// Losses as operators of the model.
    nonisolated(unsafe) static let losses: OperatorFamily = [
        "NegativeLogLikelihoodLoss": { context in
            let loss = try LikelihoodLoss(context)
            return { inputs in
                [
                    try loss(
                        context.required(inputs, 0), context.required(inputs, 1), context.optional(inputs, 2))
                ]
            }
        },
        "SoftmaxCrossEntropyLoss": { context in
            let loss = try LikelihoodLoss(context)
            return { inputs in
                let scores = try context.required(inputs, 0)
                let logarithms = try logSoftmax(.tensor(scores), 1)
                return [
                    try loss(logarithms, context.required(inputs, 1), context.optional(inputs, 2)),
                    logarithms,
                ]
            }
        },
    ]
}

/// The negative log-likelihood of labels, with the attributes that both losses have.
private struct LikelihoodLoss {
    private enum Reduction: String, CaseIterable {
        case none, mean, sum

        /// libtorch's number for it.
        var code: Int {
            switch self {
            case .none: 0
            case .mean: 1
            case .sum: 2
            }
        }
    }

    private let reduction: Reduction
    private let ignored: Int?
    private let context: OperatorContext

    init(_ context: OperatorContext) throws {
        self.context = context
        reduction = try context.choice("reduction", default: Reduction.mean)
        ignored = try context.node.int("ignore_index", default: nil)
    }

    /// - Parameters:
    ///   - logarithms: log-probabilities (N, C, d1…).
    ///   - labels: class numbers (N, d1…).
    ///   - weights: one per class.
    func callAsFunction(_ logarithms: Tensor, _ labels: Tensor, _ weights: Tensor?) throws -> Tensor {
        guard logarithms.rank >= 2, labels.shape == [logarithms.shape[0]] + logarithms.shape.dropFirst(2)
        else {
            throw context.error("scores of shape \(logarithms.shape) with labels of shape \(labels.shape)")
        }
        // A number that is no class, so that without the attribute nothing is ignored.
        return try likelihood(
            .tensor(logarithms), .tensor(labels.converted(to: .int64)), .optional(weights),
            .int(reduction.code),
            .int(ignored ?? -1_000_000_007))
    }
}
