/// The labels of a data set as predictions are held against them.
///
/// This is the one place that says which labels count. `Dataset.ignoredLabel` marks a position without a label, and so
/// does a position's weight of 0. Where labels are the tokens that a model reads, a position is held against the label
/// after it, and the last one of a sample against none.
///
/// ```swift
/// let labels = try Labels(dataset.labels!, reading: .following)
/// let block = labels.block([0, 2])
/// block.correct(predictions)  // of two samples
/// ```
public struct Labels: Sendable {
    /// Which label a position is held against.
    public enum Reading: Sendable, Hashable {
        /// Its own.
        case own
        /// The one after it: labels are tokens, and the next one is predicted.
        case following
    }

    /// The positions of a sample.
    public let positions: Int
    /// The labels that count, of every sample.
    public let counts: LabelCounts
    /// By sample and position; `Dataset.ignoredLabel` where nothing counts.
    private let wanted: [Int64]

    /// Reads an array of labels.
    ///
    /// - Parameters:
    ///   - array: class numbers, int64 `[samples]` or `[samples, …]`.
    ///   - reading: which label a position is held against.
    ///   - positionWeights: a number for each position; a label with the number 0 does not count. Numbers of another shape
    ///     than the labels' say nothing of them.
    /// - Throws: `DatasetError` for arrays whose elements are no such numbers.
    public init(_ array: NumpyArray, reading: Reading, positionWeights: NumpyArray? = nil)
        throws(DatasetError)
    {
        positions = array.rowElementCount
        var wanted = try array.int64s()
        if let positionWeights, positionWeights.shape == array.shape {
            let weights =
                try positionWeights.elementType.isFloatingPoint
                ? positionWeights.floats() : positionWeights.int64s().map { Float($0) }
            for (place, weight) in weights.enumerated() where weight == 0 {
                wanted[place] = Dataset.ignoredLabel
            }
        }
        if reading == .following {
            for start in stride(from: 0, to: wanted.count, by: max(positions, 1)) {
                for place in start..<start + positions - 1 { wanted[place] = wanted[place + 1] }
                wanted[start + positions - 1] = Dataset.ignoredLabel
            }
        }
        self.wanted = wanted
        var perSample = [Int](repeating: 0, count: array.shape.first ?? 0)
        for (place, label) in wanted.enumerated() where label != Dataset.ignoredLabel {
            perSample[place / positions] += 1
        }
        counts = LabelCounts(perSample: perSample)
    }

    /// The labels of a sample that count.
    public func counted(_ sample: Int) -> some Sequence<Int64> {
        wanted[sample * positions..<(sample + 1) * positions].lazy.filter { $0 != Dataset.ignoredLabel }
    }

    /// The labels of some samples, in their order.
    public func block(_ samples: [Int]) -> Block {
        Block(
            wanted: samples.flatMap { wanted[$0 * positions..<($0 + 1) * positions] }, positions: positions,
            samples: samples.count)
    }

    /// The labels of a list of samples.
    public struct Block: Sendable {
        /// The number of samples.
        public let samples: Int
        /// The positions of a sample.
        public let positions: Int
        /// The class of every place, by sample and position; 0 where none counts.
        public let classes: [Int64]
        /// The places that count, in order.
        public let counted: [Int]
        private let wanted: [Int64]

        fileprivate init(wanted: [Int64], positions: Int, samples: Int) {
            self.wanted = wanted
            self.positions = positions
            self.samples = samples
            classes = wanted.map { $0 == Dataset.ignoredLabel ? 0 : $0 }
            counted = wanted.indices.filter { wanted[$0] != Dataset.ignoredLabel }
        }

        /// The first label that is none of so many classes.
        public func stray(amongClasses count: Int) -> Int64? {
            classes.first { !(0..<Int64(count)).contains($0) }
        }

        /// The right predictions of every sample.
        ///
        /// - Parameter predictions: a class for every place, by sample and position.
        public func correct(_ predictions: [Int64]) -> [UInt32] {
            var correct = [UInt32](repeating: 0, count: samples)
            for place in counted where predictions[place] == wanted[place] {
                correct[place / positions] += 1
            }
            return correct
        }
    }
}

/// How many labels of every sample count: what accuracy is a share of.
public struct LabelCounts: Sendable, Hashable {
    /// The labels that count, by sample.
    public let perSample: [Int]
    /// All of them.
    public let total: Int

    /// Counts by sample.
    public init(perSample: [Int]) {
        self.perSample = perSample
        total = perSample.reduce(0, +)
    }

    /// Without those of some samples.
    public func excluding(_ samples: Set<Int>) -> LabelCounts {
        samples.isEmpty
            ? self
            : LabelCounts(
                perSample: perSample.enumerated().map { samples.contains($0.offset) ? 0 : $0.element })
    }

    /// The share of the labels that are predicted, 0 to 1; `nil` where no label counts.
    public func accuracy(correct: Int) -> Double? {
        total > 0 ? Double(correct) / Double(total) : nil
    }

    /// The labels of some samples that are not predicted.
    ///
    /// - Parameters:
    ///   - correct: the right predictions of each.
    ///   - samples: their numbers, in the same order.
    public func misses(_ correct: [UInt32], samples: [Int]) -> Int {
        zip(correct, samples).reduce(0) { $0 + max(0, perSample[$1.1] - Int($1.0)) }
    }
}

extension Dataset {
    /// Whether the labels are the very tokens of an integer input, but for those that do not count: then it is the next
    /// token that a model predicts.
    public var labelsAreTokens: Bool {
        guard let labels, labels.shape.count == 2 else { return false }
        return inputNames.contains { name in
            guard let array = arrays[name], array.elementType.isInteger, array.shape == labels.shape,
                let inputs = try? array.int64s(), let outputs = try? labels.int64s()
            else { return false }
            return zip(inputs, outputs).allSatisfy { $0 == $1 || $1 == Dataset.ignoredLabel }
        }
    }
}
