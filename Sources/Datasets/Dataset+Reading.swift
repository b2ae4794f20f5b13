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
        let extras = [Self.labelsName, Self.targetsName, Self.weightsName].filter { name in
            archive.names.contains(name) && !sources.contains(name)
        }
        let count = try Self.sampleCount(of: sources + extras, in: archive, limit: samples)

        var adapted: [(String, NumpyArray)] = []
        for (input, source) in zip(inputs, sources) {
            let array = try archive.array(named: source, rows: count)
            adapted.append(
                (
                    input.name,
                    try locating(file: file, array: source) { () throws(DatasetError) in
                        try input.adapt(array)
                    }
                ))
        }
        var roles: [String: NumpyArray] = [:]
        for name in extras {
            let array = try archive.array(named: name, rows: count)
            roles[name] = try locating(file: file, array: name) { () throws(DatasetError) in
                switch name {
                case Self.labelsName: try Self.checkedLabels(array)
                case Self.targetsName: try Self.checkedTargets(array)
                default: try Self.checkedWeights(array)
                }
            }
        }
        self.init(
            samples: count, inputs: adapted, labels: roles[Self.labelsName], targets: roles[Self.targetsName],
            weights: roles[Self.weightsName])
    }

    /// The array that each input reads.
    private static func sources(
        of inputs: [InputSpecification], in archive: NumpyArchive
    ) throws(DatasetError) -> [String] {
        let candidates = archive.names.filter { ![labelsName, targetsName, weightsName].contains($0) }
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
        of names: [String], in archive: NumpyArchive, limit: Int?
    ) throws(DatasetError) -> Int {
        var first: (name: String, count: Int)?
        for name in names {
            guard let count = try archive.header(of: name).shape.first else {
                throw DatasetError(
                    .shapeMismatch, "it is a scalar; its first dimension has to count samples",
                    file: archive.path, array: name)
            }
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
