internal import Datasets
internal import Training

/// Images mirrored and moved before a training step sees them.
///
/// What is done to an image follows from the seed, the step and the sample's number alone.
struct Augmentation {
    private let objective: TrainingObjective

    init(_ objective: TrainingObjective) { self.objective = objective }

    /// The samples of an input, [N, …, H, W].
    ///
    /// - Parameter samples: their numbers in the whole data set.
    /// - Throws: `EngineError` for an input that has no images.
    func changed(_ images: NumpyArray, samples: [Int], step: Int, input: String) throws -> NumpyArray {
        guard images.shape.count == 4, images.elementType == .float32 else {
            throw EngineError.data(
                "input '\(input)' has the shape \(images.shape): only images [N, C, H, W] can be mirrored and moved"
            )
        }
        let (height, width) = (images.shape[2], images.shape[3])
        let planes = images.shape[1]
        let source = try images.floats()
        var result = [Float](repeating: 0, count: source.count)
        for (row, sample) in samples.enumerated() {
            let hash = HashedNumber.of(objective.seed, 3, UInt64(step), UInt64(sample))
            let isMirrored = objective.flips && hash & 1 == 1
            let span = UInt64(2 * objective.shift + 1)
            let down = Int((hash >> 8) % span) - objective.shift
            let right = Int((hash >> 32) % span) - objective.shift
            for plane in row * planes..<(row + 1) * planes {
                for y in max(0, down)..<max(0, down, min(height, height + down)) {
                    for x in max(0, right)..<max(0, right, min(width, width + right)) {
                        let column = isMirrored ? width - 1 - (x - right) : x - right
                        result[(plane * height + y) * width + x] =
                            source[(plane * height + y - down) * width + column]
                    }
                }
            }
        }
        return try NumpyArray(shape: images.shape, values: result)
    }
}
