internal import Datasets
internal import Torch

/// How an output's classes lie: in the last dimension of [N, C] and [N, T, V], and in the second of images [N, C, H, W],
/// unless the model says otherwise.
struct ClassLayout {
    let samples: Int
    let classes: Int
    /// The output with the classes second, and contiguous where the model has them last: [N·T, C, 1] or
    /// [N, C, places].
    let output: Tensor

    /// The usual dimension of an output's classes.
    static func dimension(of output: Tensor) -> Int { output.rank >= 4 ? 1 : output.rank - 1 }

    /// - Parameters:
    ///   - dimension: that of the classes.
    ///   - positions: labels per sample, which need a prediction each.
    /// - Throws: `EngineError` when the output has no classes, or another number of predictions.
    init(of output: Tensor, dimension: Int, positions: Int) throws {
        guard output.rank >= 2 else {
            throw EngineError.data(
                "the output has shape \(output.shape): cross-entropy needs a dimension of classes")
        }
        samples = output.shape[0]
        classes = output.shape[dimension]
        let places = output.count / max(samples * classes, 1)
        guard places == positions else {
            throw EngineError.data(
                "the output has shape \(output.shape): \(places) predictions per sample for \(positions) labels"
            )
        }
        if dimension == output.rank - 1 {
            self.output = try output.reshaped([samples * places, classes, 1])
        } else if dimension == 1 {
            self.output = try output.reshaped([samples, classes, places])
        } else {
            self.output = try output.transposed(dimension, output.rank - 1)
                .reshaped([samples * places, classes, 1])
        }
    }

    /// Every position gets the label of the one after it, the last of a sample none.
    static func following(_ labels: [Int64], positions: Int) -> [Int64] {
        var wanted = labels
        guard positions > 0 else { return wanted }
        for start in stride(from: 0, to: labels.count, by: positions) {
            for position in start..<start + positions - 1 { wanted[position] = labels[position + 1] }
            wanted[start + positions - 1] = Dataset.ignoredLabel
        }
        return wanted
    }
}
