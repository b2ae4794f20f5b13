/// The user's data: one array per model input, and what the loss needs.
///
/// Arrays are held with their samples in the first dimension, whatever the model wants; `gather` gives a model input in
/// the model's own layout. An input that all samples share is held, and given, as it is.
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
    /// The arrays by name: one per model input, and those of labels, targets and weights that there are, also
    /// `labels.OUTPUT` and `targets.OUTPUT`.
    public let arrays: [String: NumpyArray]
    /// The samples' dimension of model inputs where the model has it elsewhere than first; −1 for an input that all
    /// samples share.
    public let inputAxes: [String: Int]
    /// Class labels, int64 `[samples]` or `[samples, positions]`; `ignoredLabel` marks what is not counted.
    public let labels: NumpyArray?
    /// Values to regress to, float32 `[samples, …]`.
    public let targets: NumpyArray?
    /// One non-negative weight per sample, float32 `[samples]`.
    public let weights: NumpyArray?

    init(
        samples: Int, inputs: [(String, NumpyArray)], labels: NumpyArray?, targets: NumpyArray?,
        weights: NumpyArray?, named: [String: NumpyArray] = [:], inputAxes: [String: Int] = [:]
    ) {
        self.samples = samples
        self.inputAxes = inputAxes.filter { $0.value != 0 }
        self.labels = labels
        self.targets = targets
        self.weights = weights
        inputNames = inputs.map(\.0)
        var arrays = named
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
    /// - Returns: An array of shape `[samples.count, …]`; of a model input, in the model's layout.
    /// - Throws: `missingArray`; `sampleCount` for a sample that there is not.
    public func gather(
        _ samples: some Collection<Int>, from name: String
    ) throws(DatasetError) -> NumpyArray {
        guard let array = arrays[name] else {
            throw DatasetError(.missingArray, "the data set holds no such array", array: name)
        }
        let axis = inputAxes[name] ?? 0
        if axis < 0 { return array }
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
        let rows = NumpyArray(unchecked: [samples.count] + array.shape.dropFirst(), array.elementType, bytes)
        return axis == 0 ? rows : rows.movingFirst(to: axis)
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
            inputs: inputNames.compactMap { name in
                arrays[name].map { (name, inputAxes[name] == -1 ? $0 : $0.slice(rows: range)) }
            },
            labels: labels?.slice(rows: range), targets: targets?.slice(rows: range),
            weights: weights?.slice(rows: range),
            named: arrays.filter { isNamed($0.key) }.mapValues { $0.slice(rows: range) }, inputAxes: inputAxes
        )
    }

    /// The arrays in a fixed order and the model's layout, as `NumpyArchive.write` and `NumpyArchive.encode` take them.
    ///
    /// `Dataset(_:inputs:)` reads the result back.
    public var namedArrays: [(String, NumpyArray)] {
        namesInOrder.compactMap { name in
            arrays[name].map { array in
                let axis = inputAxes[name] ?? 0
                return (name, axis > 0 ? array.movingFirst(to: axis) : array)
            }
        }
    }

    /// The names of all arrays, in a fixed order.
    var namesInOrder: [String] {
        inputNames
            + [Self.labelsName, Self.targetsName, Self.weightsName].filter { !inputNames.contains($0) }
            + arrays.keys.filter { isNamed($0) }.sorted()
    }

    /// Whether an array is one that the loss compares a certain output with.
    private func isNamed(_ name: String) -> Bool {
        !inputNames.contains(name) && Self.outputRole(of: name) != nil
    }

    /// The role of an array for a certain output: `labels` or `targets` for `labels.OUTPUT` and `targets.OUTPUT`.
    static func outputRole(of name: String) -> String? {
        [labelsName, targetsName].first { name.hasPrefix($0 + ".") && name.count > $0.count + 1 }
    }
}
