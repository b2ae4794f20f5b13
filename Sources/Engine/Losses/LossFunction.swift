internal import ComputationGraph
internal import Datasets
internal import Torch

/// Computes one output's per-sample losses against a block's labels, targets or reference.
///
/// Cross-entropy and the squared error are computed in single precision, all other losses in double precision
/// (`LossFunction+Pointwise`): those come near 0 as differences of much larger numbers.
struct LossFunction {
    let term: LossDescription.Term
    var loss: Loss { term.loss }

    /// What a block's outputs are compared with.
    enum Reference {
        case labels([Int64], positions: Int)
        case tensor(Tensor)
    }

    /// The per-sample losses.
    ///
    /// - Parameters:
    ///   - output: the model's output, with one entry for each sample along the term's dimension of samples.
    ///   - reference: labels [N] or [N, positions]; targets or the unpruned model's output otherwise.
    ///   - counts: how much each position of a sample counts, [N, T]; `nil` where all count alike.
    /// - Throws: `EngineError` when the shapes do not fit.
    func callAsFunction(
        _ output: Tensor, against reference: Reference, counts: Tensor? = nil, samples: Int
    ) throws -> SampleScores {
        let output = try samplesFirst(output)
        guard output.rank >= 1, output.shape[0] == samples else {
            throw EngineError.data(
                "the model's output '\(term.output)' has shape \(output.shape): the loss needs floating-point numbers "
                    + "with one row for each of the \(samples) samples")
        }
        switch (loss, reference) {
        case (.crossEntropy, .labels(let labels, let positions)),
            (.nextToken, .labels(let labels, let positions)):
            return try crossEntropy(output, labels, positions: positions)
        case (.meanSquaredError, .tensor(let target)) where !applies(counts, to: output),
            (.selfMeanSquaredError, .tensor(let target)) where !applies(counts, to: output):
            return SampleScores(
                losses: try squaredError(output, target).elements().map(clampedAtZero), correct: [])
        default:
            let losses: [Double] = try perSample(output, against: reference, counts: counts).elements()
            return SampleScores(losses: losses.map { clampedAtZero(Float($0)) }, correct: [])
        }
    }

    /// The loss of every sample as a tensor that autograd can take apart, [N], recorded for backward where `output` is.
    ///
    /// Agrees with the exact one up to rounding, and is not clamped at 0, which would stop gradients where a loss is
    /// smallest.
    func differentiable(_ output: Tensor, against reference: Reference, counts: Tensor? = nil) throws
        -> Tensor
    {
        let output = try samplesFirst(output)
        switch (loss, reference) {
        case (.crossEntropy, .labels(let labels, let positions)),
            (.nextToken, .labels(let labels, let positions)):
            return try crossEntropy(
                output, PositionLabels(labels, positions: positions, shifted: loss == .nextToken))
        case (.meanSquaredError, .tensor(let target)) where !applies(counts, to: output),
            (.selfMeanSquaredError, .tensor(let target)) where !applies(counts, to: output):
            return try squaredError(output, target)
        default: return try perSample(output, against: reference, counts: counts)
        }
    }

    /// An output with its samples in the first dimension.
    func samplesFirst(_ output: Tensor) throws -> Tensor {
        guard output.scalarType.isFloatingPoint else {
            throw EngineError.data(
                "the model's output '\(term.output)' is \(output.scalarType): the loss needs numbers")
        }
        guard term.sampleAxis > 0 else { return output }
        guard term.sampleAxis < output.rank else {
            throw EngineError.data(
                "the model's output '\(term.output)' has shape \(output.shape), and no dimension \(term.sampleAxis)"
            )
        }
        let others = (0..<output.rank).filter { $0 != term.sampleAxis }
        return try output.permuted([term.sampleAxis] + others)
    }

    /// The dimension of an output's classes or features.
    func classDimension(_ output: Tensor) -> Int {
        if let axis = term.classAxis, axis < output.rank { return axis }
        return ClassLayout.dimension(of: output)
    }

    /// Whether weights [N, T] of positions say something about an output: one [N, T, …], of three dimensions or more, whose
    /// classes are not those T.
    func applies(_ counts: Tensor?, to output: Tensor) -> Bool {
        // The features of an embedding [N, C] may be as many as there are positions, by chance.
        guard let counts, output.rank >= 3, output.shape[1] == counts.shape[1] else { return false }
        return !reducesClasses || classDimension(output) != 1
    }

    /// Whether the loss is one number for all classes of a position.
    private var reducesClasses: Bool {
        switch loss {
        case .klDivergence, .cosine, .selfCosine, .crossEntropy, .nextToken: true
        default: false
        }
    }

    // MARK: Cross-entropy

    /// The logarithms of a model's probabilities, or of the softmax of its logits.
    func logProbabilities(_ output: Tensor, dimension: Int) throws -> Tensor {
        switch term.form {
        case .probabilities:
            try log(.tensor(clampMinimum(.tensor(output), .double(Double(Float.leastNormalMagnitude)))))
        case .logProbabilities: output
        case .logits, .sigmoids, .values: try logSoftmax(.tensor(output), .int(dimension), .none)
        }
    }

    private func crossEntropy(_ output: Tensor, _ labels: [Int64], positions: Int) throws -> SampleScores {
        let layout = try ClassLayout(of: output, dimension: classDimension(output), positions: positions)
        if let stray = labels.first(where: {
            $0 != Dataset.ignoredLabel && !(0..<Int64(layout.classes)).contains($0)
        }) {
            throw EngineError.data("the label \(stray) is outside the model's \(layout.classes) classes")
        }
        let wanted = loss == .nextToken ? ClassLayout.following(labels, positions: positions) : labels
        let index = try Tensor(
            wanted.map { max($0, 0) }, shape: [layout.output.shape[0], 1, layout.output.shape[2]])
        let chosen = try gather(.tensor(logProbabilities(layout.output, dimension: 1)), 1, .tensor(index))
        let values: [Float] = try negative(.tensor(chosen)).elements()
        let best: [Int64] = try argmax(.tensor(layout.output), 1).elements()
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

    private func crossEntropy(_ output: Tensor, _ labels: PositionLabels) throws -> Tensor {
        let layout = try ClassLayout(
            of: output, dimension: classDimension(output), positions: labels.positions)
        let places = [layout.samples, labels.positions]
        let logs = try logProbabilities(layout.output, dimension: 1)
        let index = try Tensor(labels.classes, shape: [layout.output.shape[0], 1, layout.output.shape[2]])
        let chosen = try gather(.tensor(logs), 1, .tensor(index)).reshaped(places)
        let shares = try Tensor(labels.shares, shape: places).converted(to: output.scalarType)
        return try (chosen * shares).summed(over: [1]) * -1
    }

    // MARK: Squared error

    private func squaredError(_ output: Tensor, _ target: Tensor) throws -> Tensor {
        guard output.count == target.count else {
            throw EngineError.data("the output has shape \(output.shape), the targets have \(target.shape)")
        }
        let rows = [output.shape[0], -1]
        let difference = try output.reshaped(rows) - samplesFirstTarget(target).reshaped(rows)
        return try (difference * difference).averaged(over: [1])
    }

    /// What an output is compared with: targets have their samples first, the unpruned model's output where it has them.
    func samplesFirstTarget(_ target: Tensor) throws -> Tensor {
        loss.needsReference ? try samplesFirst(target) : target
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

/// Losses are non-negative by definition; rounding may leave a little below. NaN stays.
private func clampedAtZero(_ value: Float) -> Float { value < 0 ? 0 : value }

private let logSoftmax = Operation("aten::log_softmax.int")
private let log = Operation("aten::log")
private let clampMinimum = Operation("aten::clamp_min")
private let gather = Operation("aten::gather")
private let negative = Operation("aten::neg")
private let argmax = Operation("aten::argmax")
