internal import Datasets
internal import Torch

/// The losses as tensors that autograd can take apart. The exact ones stay as they are: these agree with them up to
/// rounding, and are not clamped at 0, which would stop gradients where a loss is smallest.
extension LossFunction {
    /// The loss of every sample, [N], recorded for backward where `output` is.
    ///
    /// - Parameters:
    ///   - output: the model's first output, [N, …].
    ///   - reference: labels [N] or [N, T]; a tensor of the output's shape otherwise.
    /// - Throws: `EngineError` when the shapes do not fit.
    func differentiable(_ output: Tensor, against reference: Reference) throws -> Tensor {
        guard output.rank >= 1, output.scalarType.isFloatingPoint else {
            throw EngineError.data(
                "the model's first output has shape \(output.shape): the loss needs numbers")
        }
        switch (loss, reference) {
        case (.crossEntropy, .labels(let labels, let positions)):
            return try crossEntropy(output, PositionLabels(labels, positions: positions, shifted: false))
        case (.nextToken, .labels(let labels, let positions)):
            return try crossEntropy(output, PositionLabels(labels, positions: positions, shifted: true))
        case (.meanSquaredError, .tensor(let target)), (.selfMeanSquaredError, .tensor(let target)):
            guard output.count == target.count else {
                throw EngineError.data(
                    "the output has shape \(output.shape), the targets have \(target.shape)")
            }
            let difference = try rows(output) - rows(target)
            return try (difference * difference).averaged(over: [1])
        case (.klDivergence, .tensor(let target)):
            return try divergence(output, from: target)
        default: throw EngineError.data("the loss \(loss.rawValue) lacks what it compares with")
        }
    }

    private func rows(_ tensor: Tensor) throws -> Tensor { try tensor.reshaped([tensor.shape[0], -1]) }

    private func crossEntropy(_ output: Tensor, _ labels: PositionLabels) throws -> Tensor {
        let layout = try ClassLayout(of: output, positions: labels.positions)
        let places = [layout.samples, labels.positions]
        let logs = try logProbabilities(output.reshaped(layout.shape), dimension: 1)
        let index = try Tensor(labels.classes, shape: [layout.shape[0], 1, layout.shape[2]])
        let chosen = try gather(.tensor(logs), 1, .tensor(index)).reshaped(places)
        let shares = try Tensor(labels.shares, shape: places).converted(to: output.scalarType)
        return try (chosen * shares).summed(over: [1]) * -1
    }

    private func divergence(_ output: Tensor, from target: Tensor) throws -> Tensor {
        guard output.shape == target.shape, output.rank >= 2 else {
            throw EngineError.data(
                "the output has shape \(output.shape), the unpruned model's \(target.shape)")
        }
        let dimension = ClassLayout.dimension(of: output)
        let base = try logProbabilities(target, dimension: dimension)
        let terms = try exponential(.tensor(base)) * (base - logProbabilities(output, dimension: dimension))
        return try rows(terms.summed(over: [dimension])).averaged(over: [1])
    }
}

/// The labels of a block, position by position, with the share that each has in its sample's loss.
private struct PositionLabels {
    let positions: Int
    /// Class numbers [N · positions]; 0 where nothing is counted.
    let classes: [Int64]
    /// 1 / the sample's counted positions; 0 where a position is not counted.
    let shares: [Double]

    /// - Parameter shifted: whether each position is compared with the label after it.
    init(_ labels: [Int64], positions: Int, shifted: Bool) {
        self.positions = positions
        let wanted = shifted ? ClassLayout.following(labels, positions: positions) : labels
        var shares = [Double](repeating: 0, count: wanted.count)
        for start in stride(from: 0, to: wanted.count, by: max(positions, 1)) {
            let counted = (start..<start + positions).filter { wanted[$0] != Dataset.ignoredLabel }
            for position in counted { shares[position] = 1 / Double(counted.count) }
        }
        self.shares = shares
        classes = wanted.map { max($0, 0) }
    }
}

private let gather = Operation("aten::gather")
private let exponential = Operation("aten::exp")
