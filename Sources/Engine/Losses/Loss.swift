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

    /// The term that all of the loss's numbers follow from.
    var definition: any LossDefinition {
        switch self {
        case .crossEntropy: CrossEntropy(reading: .own)
        case .nextToken: CrossEntropy(reading: .following)
        case .meanSquaredError: SquaredError(comparison: .targets)
        case .selfMeanSquaredError: SquaredError(comparison: .unprunedOutputs)
        case .meanAbsoluteError: AbsoluteError(comparison: .targets)
        case .selfMeanAbsoluteError: AbsoluteError(comparison: .unprunedOutputs)
        case .binaryCrossEntropy: BinaryCrossEntropy()
        case .selfBinaryCrossEntropy: BinaryDivergence()
        case .klDivergence: Divergence()
        case .cosine: Cosine(comparison: .targets)
        case .selfCosine: Cosine(comparison: .unprunedOutputs)
        }
    }

    /// Whether the loss compares with the unpruned model's outputs.
    public var needsReference: Bool { definition.comparison == .unprunedOutputs }
    /// Whether the loss compares with labels, and predictions are right or wrong.
    var needsLabels: Bool { if case .labels = definition.comparison { true } else { false } }
    /// The same loss against the unpruned model's outputs, where there is one.
    var selfConsistent: Loss? { definition.selfConsistent }

    /// The loss that the data calls for, whatever the outputs are: with labels cross-entropy (`next-token` when the
    /// labels are the very tokens that the model reads), with targets the squared error, otherwise the divergence from
    /// the unpruned model.
    public static func natural(for dataset: Dataset) -> Loss {
        guard dataset.labels == nil else { return dataset.labelsAreTokens ? .nextToken : .crossEntropy }
        return dataset.targets != nil ? .meanSquaredError : .klDivergence
    }

    /// The self-consistency that outputs of a form call for.
    static func natural(for form: OutputForm) -> Loss {
        switch form {
        case .logits, .probabilities, .logProbabilities: .klDivergence
        case .sigmoids: .selfBinaryCrossEntropy
        case .values: .selfMeanSquaredError
        }
    }
}
