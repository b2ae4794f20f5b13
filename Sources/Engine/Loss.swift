public import Datasets

/// How far a model's outputs are from what they should be. Every loss is per sample, and never negative.
public enum Loss: String, Sendable, Hashable, CaseIterable, Codable {
    /// −log softmax at the label: logits [N, C] with labels [N], or logits [N, T, V] with labels [N, T] position by
    /// position; a sample's loss is the mean over its counted positions.
    case crossEntropy = "cross-entropy"
    /// Cross-entropy of each position's logits [N, T, V] against the token after it, labels [N, T] being the tokens.
    case nextToken = "next-token"
    /// Mean squared difference from the array `targets`.
    case meanSquaredError = "mse"
    /// Kullback-Leibler divergence from the unpruned model's softmax to this one's; needs no labels.
    case klDivergence = "kl"
    /// Mean squared difference from the unpruned model's outputs; needs no labels.
    case selfMeanSquaredError = "self-mse"

    /// Whether the loss compares with the unpruned model's outputs.
    public var needsReference: Bool { self == .klDivergence || self == .selfMeanSquaredError }
    /// Whether the loss compares with labels.
    public var needsLabels: Bool { self == .crossEntropy || self == .nextToken }

    /// The loss that the data calls for: with labels cross-entropy (`next-token` when the labels are the very tokens
    /// that the model reads), with targets the squared error, otherwise the divergence from the unpruned model.
    public static func natural(for dataset: Dataset) -> Loss {
        if let labels = dataset.labels {
            let tokens =
                labels.shape.count == 2
                && dataset.inputNames.contains { name in
                    guard let array = dataset.arrays[name], array.elementType.isInteger,
                        array.shape == labels.shape,
                        let inputs = try? array.int64s(), let outputs = try? labels.int64s()
                    else { return false }
                    return zip(inputs, outputs).allSatisfy { $0 == $1 || $1 == Dataset.ignoredLabel }
                }
            return tokens ? .nextToken : .crossEntropy
        }
        return dataset.targets != nil ? .meanSquaredError : .klDivergence
    }

    /// The weight of every sample: 1 or the number of counted tokens, times the data's own weights.
    ///
    /// - Throws: `EngineError` when the data has not what the loss needs, or every weight is 0.
    public func weights(for dataset: Dataset) throws -> [Float] {
        var weights = try dataset.weights?.floats() ?? [Float](repeating: 1, count: dataset.samples)
        if needsLabels {
            guard let labels = dataset.labels else {
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
        if self == .meanSquaredError && dataset.targets == nil {
            throw EngineError.data("the loss mse needs an array 'targets', and the data has none")
        }
        guard weights.contains(where: { $0 > 0 }) else {
            throw EngineError.data("every sample has the weight 0: there is nothing to measure")
        }
        return weights
    }
}
