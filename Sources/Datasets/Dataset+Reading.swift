extension Dataset {
    /// Reads a data set from an `.npz` or `.npy` file.
    ///
    /// Every model input takes the array of its name. If the model has one input and the file one array besides
    /// `labels`, `targets` and `weights`, that array is taken whatever its name.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - inputs: The model's inputs.
    ///   - samples: How many samples to take, from the first on; nil for all.
    ///   - arrayName: The name for the array of an `.npy` file.
    /// - Throws: `DatasetError`, for a file that cannot be read and for every array that does not suit.
    public init(
        contentsOf path: String, inputs: [InputSpecification], limit samples: Int? = nil,
        arrayName: String = "input"
    ) throws(DatasetError) {
        try self.init(NumpyArchive(contentsOf: path, arrayName: arrayName), inputs: inputs, limit: samples)
    }

    /// Reads a data set from an open archive.
    ///
    /// - Throws: as `init(contentsOf:inputs:limit:arrayName:)`.
    public init(
        _ archive: NumpyArchive, inputs: [InputSpecification], limit samples: Int? = nil
    ) throws(DatasetError) {
        let file = archive.path
        guard !inputs.isEmpty else {
            throw DatasetError(.missingArray, "the model reads no input", file: file)
        }
        let sources = try Self.sources(of: inputs, in: archive)
        // A model input of that name is an input, not what the loss compares with.
        let roles = [Self.labelsName, Self.targetsName, Self.weightsName]
        let extras = (roles + archive.names.filter { Self.outputRole(of: $0) != nil }.sorted()).filter {
            name in
            archive.names.contains(name) && !sources.contains(name)
        }
        let counted = zip(inputs, sources).compactMap { input, source in input.sampleAxis.map { (source, $0) }
        }
        let count = try Self.sampleCount(of: counted + extras.map { ($0, 0) }, in: archive, limit: samples)

        var adapted: [(String, NumpyArray)] = []
        for (input, source) in zip(inputs, sources) {
            let array = try archive.array(named: source, rows: input.sampleAxis == 0 ? count : nil)
            adapted.append(
                (
                    input.name,
                    try locating(file: file, array: source) { () throws(DatasetError) in
                        try input.adapt(array, samples: count)
                    }
                ))
        }
        var found: [String: NumpyArray] = [:]
        for name in extras {
            let array = try archive.array(named: name, rows: count)
            found[name] = try locating(file: file, array: name) { () throws(DatasetError) in
                switch Self.outputRole(of: name) ?? name {
                case Self.labelsName: try Self.checkedLabels(array)
                case Self.targetsName: try Self.checkedTargets(array)
                default: try Self.checkedWeights(array)
                }
            }
        }
        self.init(
            samples: count, inputs: adapted, labels: found[Self.labelsName], targets: found[Self.targetsName],
            weights: found[Self.weightsName], named: found.filter { !roles.contains($0.key) },
            inputAxes: Dictionary(
                inputs.map { ($0.name, $0.sampleAxis ?? -1) }, uniquingKeysWith: { first, _ in first }))
    }

    /// The array that each input reads.
    private static func sources(
        of inputs: [InputSpecification], in archive: NumpyArchive
    ) throws(DatasetError) -> [String] {
        let candidates = archive.names.filter {
            ![labelsName, targetsName, weightsName].contains($0) && outputRole(of: $0) == nil
        }
        if inputs.count == 1, !archive.names.contains(inputs[0].name), candidates.count == 1 {
            return candidates
        }
        let missing = inputs.map(\.name).filter { !archive.names.contains($0) }
        guard missing.isEmpty else {
            func list(_ names: [String]) -> String { names.map { "'\($0)'" }.joined(separator: ", ") }
            throw DatasetError(
                .missingArray,
                "there is no array for the model's \(missing.count == 1 ? "input" : "inputs") \(list(missing)); "
                    + (archive.names.isEmpty
                        ? "the file holds no arrays" : "the file holds \(list(archive.names))"),
                file: archive.path)
        }
        return inputs.map(\.name)
    }

    /// The number of samples to take, on which all arrays agree.
    private static func sampleCount(
        of arrays: [(name: String, axis: Int)], in archive: NumpyArchive, limit: Int?
    ) throws(DatasetError) -> Int {
        var first: (name: String, count: Int)?
        for (name, axis) in arrays {
            let shape = try archive.header(of: name).shape
            guard axis < shape.count else {
                throw DatasetError(
                    .shapeMismatch,
                    axis == 0
                        ? "it is a scalar; its first dimension has to count samples"
                        : "its shape is \(shape); dimension \(axis) has to count samples",
                    file: archive.path, array: name)
            }
            let count = shape[axis]
            guard count == first?.count ?? count else {
                throw DatasetError(
                    .sampleCount,
                    "it has \(count) samples, but array '\(first?.name ?? "")' has \(first?.count ?? 0)",
                    file: archive.path, array: name)
            }
            first = first ?? (name, count)
        }
        let available = first?.count ?? 0
        guard available > 0 else {
            throw DatasetError(.sampleCount, "it holds no samples", file: archive.path)
        }
        guard let limit else { return available }
        guard limit > 0 else {
            throw DatasetError(
                .invalidSetting, "\(limit) samples are too few to evaluate", file: archive.path)
        }
        guard limit <= available else {
            throw DatasetError(
                .sampleCount, "it holds \(available) samples, fewer than the \(limit) asked for",
                file: archive.path)
        }
        return limit
    }
}
