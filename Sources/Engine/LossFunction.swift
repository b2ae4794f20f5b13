internal import ComputationGraph
internal import Datasets
internal import Torch

/// Computes per-sample losses of output tensors against a block's labels, targets or reference.
struct LossFunction {
    let loss: Loss
    /// Whether the model ends in a softmax, so that its output holds probabilities and not logits.
    let outputsAreProbabilities: Bool

    init(_ loss: Loss, graph: Graph) {
        self.loss = loss
        outputsAreProbabilities =
            graph.outputs.first.flatMap { graph.values[$0.value].producer }
            .map { graph.vertices[$0].operation == "Softmax" } ?? false
    }

    /// What a block's outputs are compared with.
    enum Reference {
        case labels([Int64], positions: Int)
        case tensor(Tensor)
    }

    /// The per-sample losses.
    ///
    /// - Parameters:
    ///   - output: the model's first output, [N, …].
    ///   - reference: labels [N] or [N, T]; a tensor of the output's shape otherwise.
    /// - Throws: `EngineError` when the shapes do not fit.
    func callAsFunction(_ output: Tensor, against reference: Reference, samples: Int) throws -> SampleScores {
        guard output.rank >= 1, output.shape[0] == samples, output.scalarType.isFloatingPoint else {
            throw EngineError.data(
                "the model's first output has shape \(output.shape): the loss needs floating-point numbers with one "
                    + "row for each of the \(samples) samples")
        }
        switch (loss, reference) {
        case (.crossEntropy, .labels(let labels, let positions)):
            return try crossEntropy(output, labels, positions: positions, shifted: false)
        case (.nextToken, .labels(let labels, let positions)):
            return try crossEntropy(output, labels, positions: positions, shifted: true)
        case (.meanSquaredError, .tensor(let target)), (.selfMeanSquaredError, .tensor(let target)):
            return SampleScores(losses: try squaredError(output, target), correct: [])
        case (.klDivergence, .tensor(let target)):
            return SampleScores(losses: try divergence(output, from: target), correct: [])
        default: throw EngineError.data("the loss \(loss.rawValue) lacks what it compares with")
        }
    }

    /// The logarithms of a model's probabilities, or of the softmax of its logits.
    func logProbabilities(_ output: Tensor, dimension: Int) throws -> Tensor {
        if outputsAreProbabilities {
            return try log(
                .tensor(clampMinimum(.tensor(output), .double(Double(Float.leastNormalMagnitude)))))
        }
        return try logSoftmax(.tensor(output), .int(dimension), .none)
    }

    private func crossEntropy(_ output: Tensor, _ labels: [Int64], positions: Int, shifted: Bool) throws
        -> SampleScores
    {
        let layout = try ClassLayout(of: output, positions: positions)
        if let stray = labels.first(where: {
            $0 != Dataset.ignoredLabel && !(0..<Int64(layout.classes)).contains($0)
        }) {
            throw EngineError.data("the label \(stray) is outside the model's \(layout.classes) classes")
        }
        let logits = try reshape(.tensor(output), .ints(layout.shape))
        let wanted = shifted ? ClassLayout.following(labels, positions: positions) : labels
        let index = try Tensor(
            wanted.map { max($0, 0) }, shape: [layout.shape[0], 1, layout.shape[2]])
        let chosen = try gather(.tensor(logProbabilities(logits, dimension: 1)), 1, .tensor(index))
        let values: [Float] = try negative(.tensor(chosen)).elements()
        let best: [Int64] = try argmax(.tensor(logits), 1).elements()
        var scores = SampleScores(losses: [], correct: [])
        for sample in 0..<layout.samples {
            var sum: Float = 0
            var counted: UInt32 = 0
            var correct: UInt32 = 0
            for place in sample * positions..<(sample + 1) * positions
            where wanted[place] != Dataset.ignoredLabel {
                sum += values[place]
                counted += 1
                if best[place] == wanted[place] { correct += 1 }
            }
            scores.losses.append(counted == 0 ? 0 : clampedAtZero(sum / Float(counted)))
            scores.correct.append(correct)
        }
        return scores
    }

    private func squaredError(_ output: Tensor, _ target: Tensor) throws -> [Float] {
        guard output.count == target.count else {
            throw EngineError.data("the output has shape \(output.shape), the targets have \(target.shape)")
        }
        let flat = [output.shape[0], -1]
        let difference = try subtract(
            .tensor(reshape(.tensor(output), .ints(flat))), .tensor(reshape(.tensor(target), .ints(flat))))
        let square = try multiply(.tensor(difference), .tensor(difference))
        return try mean(.tensor(square), .ints([1])).elements().map(clampedAtZero)
    }

    /// Σ p·(log p − log q) over classes, averaged over the other positions of a sample.
    private func divergence(_ output: Tensor, from target: Tensor) throws -> [Float] {
        guard output.shape == target.shape, output.rank >= 2 else {
            throw EngineError.data(
                "the output has shape \(output.shape), the unpruned model's \(target.shape)")
        }
        let dimension = ClassLayout.dimension(of: output)
        let base = try logProbabilities(target, dimension: dimension)
        let other = try logProbabilities(output, dimension: dimension)
        let terms = try multiply(
            .tensor(exponential(.tensor(base))), .tensor(subtract(.tensor(base), .tensor(other))))
        let summed = try sum(.tensor(terms), .ints([dimension]))
        return try mean(.tensor(reshape(.tensor(summed), .ints([output.shape[0], -1]))), .ints([1]))
            .elements().map(clampedAtZero)
    }
}

/// Losses are non-negative by definition; rounding may leave a little below. NaN stays.
private func clampedAtZero(_ value: Float) -> Float { value < 0 ? 0 : value }

private let logSoftmax = Operation("aten::log_softmax.int")
private let log = Operation("aten::log")
private let clampMinimum = Operation("aten::clamp_min")
private let reshape = Operation("aten::reshape")
private let gather = Operation("aten::gather")
private let negative = Operation("aten::neg")
private let argmax = Operation("aten::argmax")
private let subtract = Operation("aten::sub.Tensor")
private let multiply = Operation("aten::mul.Tensor")
private let exponential = Operation("aten::exp")
private let sum = Operation("aten::sum.dim_IntList")
private let mean = Operation("aten::mean.dim")
