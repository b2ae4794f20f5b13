/// The user's data: one array per model input, and what the loss needs; every array's first dimension counts
/// samples.
///
/// ```swift
/// let specification = InputSpecification(name: "input", elementType: .float32, shape: [nil, 1, 8, 8])
/// let digits = try Dataset(contentsOf: "digits.npz", inputs: [specification], limit: 1024)
/// let block = try digits.gather([3, 1, 4], from: "input")
/// ```
public struct Dataset: Hashable, Sendable {
    /// The name of the array that holds class labels.
    public static let labelsName = "labels"
    /// The name of the array that holds values to regress to.
    public static let targetsName = "targets"
    /// The name of the array that holds the samples' weights.
    public static let weightsName = "weights"
    /// The label of a position that is not counted.
    public static let ignoredLabel: Int64 = -100

    /// Number of samples, at least 1.
    public let samples: Int
    /// The model inputs' names, in the model's order.
    public let inputNames: [String]
    /// The arrays by name: one per model input, and those of labels, targets and weights that there are.
    public let arrays: [String: NumpyArray]
    /// Class labels, int64 `[samples]` or `[samples, positions]`; `ignoredLabel` marks what is not counted.
    public let labels: NumpyArray?
    /// Values to regress to, float32 `[samples, …]`.
    public let targets: NumpyArray?
    /// One non-negative weight per sample, float32 `[samples]`.
    public let weights: NumpyArray?

    init(
        samples: Int, inputs: [(String, NumpyArray)], labels: NumpyArray?, targets: NumpyArray?,
        weights: NumpyArray?
    ) {
        self.samples = samples
        self.labels = labels
        self.targets = targets
        self.weights = weights
        inputNames = inputs.map(\.0)
        var arrays: [String: NumpyArray] = [:]
        for (name, array) in [
            (Self.labelsName, labels), (Self.targetsName, targets), (Self.weightsName, weights),
        ] {
            arrays[name] = array
        }
        for (name, array) in inputs { arrays[name] = array }
        self.arrays = arrays
    }

    /// Copies some samples of an array together, in the order given.
    ///
    /// - Parameters:
    ///   - samples: Numbers of samples; they may repeat.
    ///   - name: A model input, or `labels`, `targets`, `weights`.
    /// - Returns: An array of shape `[samples.count, …]`.
    /// - Throws: `missingArray`; `sampleCount` for a sample that there is not.
    public func gather(
        _ samples: some Collection<Int>, from name: String
    ) throws(DatasetError) -> NumpyArray {
        guard let array = arrays[name] else {
            throw DatasetError(.missingArray, "the data set holds no such array", array: name)
        }
        if let stray = samples.first(where: { !(0..<self.samples).contains($0) }) {
            throw DatasetError(
                .sampleCount, "there is no sample \(stray) among \(self.samples)", array: name)
        }
        let width = array.rowByteCount
        let bytes = [UInt8](unsafeUninitializedCapacity: samples.count * width) { output, initialized in
            array.bytes.withUnsafeBytes { source in
                for sample in samples {
                    UnsafeMutableRawBufferPointer(output).baseAddress.map { base in
                        UnsafeMutableRawBufferPointer(start: base + initialized, count: width).copyMemory(
                            from: UnsafeRawBufferPointer(
                                rebasing: source[sample * width..<(sample + 1) * width]))
                    }
                    initialized += width
                }
            }
        }
        return NumpyArray(unchecked: [samples.count] + array.shape.dropFirst(), array.elementType, bytes)
    }

    /// A data set of consecutive samples: what a worker needs for a shard.
    ///
    /// - Throws: `sampleCount` unless the range is non-empty and lies within the samples.
    public func slice(_ range: Range<Int>) throws(DatasetError) -> Dataset {
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= samples else {
            throw DatasetError(.sampleCount, "samples \(range) are not within 0..<\(samples)")
        }
        return Dataset(
            samples: range.count,
            inputs: inputNames.compactMap { name in arrays[name].map { (name, $0.slice(rows: range)) } },
            labels: labels?.slice(rows: range), targets: targets?.slice(rows: range),
            weights: weights?.slice(rows: range))
    }

    /// The arrays in a fixed order, as `NumpyArchive.write` and `NumpyArchive.encode` take them.
    ///
    /// `Dataset(_:inputs:)` reads the result back.
    public var namedArrays: [(String, NumpyArray)] {
        (inputNames
            + [Self.labelsName, Self.targetsName, Self.weightsName].filter { !inputNames.contains($0) })
            .compactMap { name in arrays[name].map { (name, $0) } }
    }
}
