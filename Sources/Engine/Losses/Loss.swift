public import Datasets

/// How far a model's outputs are from what they should be. Every loss is per sample, and never negative.
///
/// Where an output has more than one number or prediction for a sample, the loss is the mean over them.
public enum Loss: String, Sendable, Hashable, CaseIterable, Codable {
    /// −log of the label's probability: outputs [N, C] with labels [N], or [N, T, V] with labels [N, T], or
    /// [N, C, H, W] with labels [N, H, W].
    case crossEntropy = "cross-entropy"
    /// Cross-entropy of each position's output [N, T, V] against the token after it, labels [N, T] being the tokens.
    case nextToken = "next-token"
    /// Mean squared difference from the targets.
    case meanSquaredError = "mse"
    /// Mean absolute difference from the targets; from the unpruned outputs without targets.
    case meanAbsoluteError = "mae"
    /// Binary cross-entropy of independent sigmoids, with targets or labels; without any, `self-bce`.
    case binaryCrossEntropy = "bce"
    /// 1 − the cosine of the angle to the targets; to the unpruned outputs without targets.
    case cosine
    /// Kullback-Leibler divergence from the unpruned model's probabilities to this one's; needs no labels.
    case klDivergence = "kl"
    /// Mean squared difference from the unpruned model's outputs; needs no labels.
    case selfMeanSquaredError = "self-mse"
    /// Mean absolute difference from the unpruned model's outputs; needs no labels.
    case selfMeanAbsoluteError = "self-mae"
    /// Kullback-Leibler divergence of independent sigmoids (Bernoulli variables) from the unpruned model's to this
    /// one's: binary cross-entropy with its own outputs as targets, less what that is for the unpruned model.
    case selfBinaryCrossEntropy = "self-bce"
    /// 1 − the cosine of the angle to the unpruned model's outputs; needs no labels.
    case selfCosine = "self-cosine"

    /// Whether the loss compares with the unpruned model's outputs.
    public var needsReference: Bool {
        switch self {
        case .klDivergence, .selfMeanSquaredError, .selfMeanAbsoluteError, .selfBinaryCrossEntropy,
            .selfCosine:
            true
        default: false
        }
    }
    /// Whether the loss compares with labels, and predictions are right or wrong.
    public var needsLabels: Bool { self == .crossEntropy || self == .nextToken }
    /// Whether the loss compares with the array `targets`.
    var needsTargets: Bool { self == .meanSquaredError || self == .meanAbsoluteError || self == .cosine }

    /// The same loss against the unpruned model's outputs, where there is one.
    var selfConsistent: Loss? {
        switch self {
        case .meanSquaredError, .selfMeanSquaredError: .selfMeanSquaredError
        case .meanAbsoluteError, .selfMeanAbsoluteError: .selfMeanAbsoluteError
        case .binaryCrossEntropy, .selfBinaryCrossEntropy: .selfBinaryCrossEntropy
        case .cosine, .selfCosine: .selfCosine
        case .klDivergence: .klDivergence
        case .crossEntropy, .nextToken: nil
        }
    }

    /// The loss that the data calls for, whatever the outputs are: with labels cross-entropy (`next-token` when the
    /// labels are the very tokens that the model reads), with targets the squared error, otherwise the divergence from
    /// the unpruned model.
    public static func natural(for dataset: Dataset) -> Loss {
        guard dataset.labels == nil else { return labelsAreTokens(dataset) ? .nextToken : .crossEntropy }
        return dataset.targets != nil ? .meanSquaredError : .klDivergence
    }

    private static func labelsAreTokens(_ dataset: Dataset) -> Bool {
        guard let labels = dataset.labels, labels.shape.count == 2 else { return false }
        return dataset.inputNames.contains { name in
            guard let array = dataset.arrays[name], array.elementType.isInteger, array.shape == labels.shape,
                let inputs = try? array.int64s(), let outputs = try? labels.int64s()
            else { return false }
            return zip(inputs, outputs).allSatisfy { $0 == $1 || $1 == Dataset.ignoredLabel }
        }
    }

    /// The self-consistency that outputs of a form call for.
    static func natural(for form: OutputForm) -> Loss {
        switch form {
        case .logits, .probabilities, .logProbabilities: .klDivergence
        case .sigmoids: .selfBinaryCrossEntropy
        case .values: .selfMeanSquaredError
        }
    }

    /// The weight of every sample: 1 or the number of counted tokens, times the data's own weights.
    ///
    /// - Throws: `EngineError` when the data has not what the loss needs, or every weight is 0.
    public func weights(for dataset: Dataset) throws -> [Float] {
        try weights(for: dataset, labels: dataset.labels, targets: dataset.targets)
    }

    /// - Parameters:
    ///   - labels: what the loss takes for labels.
    ///   - targets: what it takes for targets.
    func weights(for dataset: Dataset, labels: NumpyArray?, targets: NumpyArray?) throws -> [Float] {
        var weights = try dataset.weights?.floats() ?? [Float](repeating: 1, count: dataset.samples)
        if needsLabels {
            guard let labels else {
                throw EngineError.data("the loss \(rawValue) needs an array 'labels', and the data has none")
            }
            if labels.shape.count > 1 {
                let positions = labels.rowElementCount
                let all = try labels.int64s()
                for sample in 0..<dataset.samples {
                    let row = all[sample * positions..<(sample + 1) * positions]
                    let counted = row.dropFirst(self == .nextToken ? 1 : 0).count {
                        $0 != Dataset.ignoredLabel
                    }
                    weights[sample] *= Float(counted)
                }
            } else if self == .nextToken {
                throw EngineError.data(
                    "the loss next-token needs labels of shape [N, T], not \(labels.shape)")
            } else if let ignored = try labels.int64s().firstIndex(of: Dataset.ignoredLabel) {
                throw EngineError.data("labels: sample \(ignored) has the label −100")
            }
        }
        if needsTargets && targets == nil {
            throw EngineError.data(
                "the loss \(rawValue) needs an array 'targets', and the data has none"
                    + (selfConsistent.map { "; \($0.rawValue) compares with the unpruned model's outputs" }
                        ?? ""))
        }
        guard weights.contains(where: { $0 > 0 }) else {
            throw EngineError.data("every sample has the weight 0: there is nothing to measure")
        }
        return weights
    }
}
