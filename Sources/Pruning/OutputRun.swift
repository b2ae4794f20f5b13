public import ComputationGraph
internal import Datasets
internal import Engine
internal import FoundationEssentials
internal import ONNX

/// What `run` wrote.
public struct WrittenOutputs: Encodable, Sendable {
    /// One array of the file.
    public struct Array: Encodable, Sendable {
        /// The model output's name.
        public let name: String
        /// NumPy's name of the element type.
        public let elementType: String
        /// The array's shape.
        public let shape: [Int]
    }

    /// The file.
    public let output: String
    /// The number of samples that were computed.
    public let samples: Int
    /// The removed edges, `NODE:SLOT`.
    public let removed: [String]
    /// What the file holds.
    public let arrays: [Array]
}

/// Runs a model and writes what it gives.
public enum OutputRun {
    /// Runs `model` on all samples of `data` with the edges of `mask` removed, and writes the outputs as `.npz`.
    ///
    /// - Parameter axes: where inputs have their samples, if not first; −1 for one that all samples share.
    ///
    /// Samples are computed in blocks where the outputs have one row for each, otherwise all at once.
    @discardableResult
    public static func run(
        model: String, data: String, mask: Mask, samples: Int?, output: String, axes: [String: Int] = [:]
    ) throws -> WrittenOutputs {
        let graph = try ModelSource.graph(model)
        let hasSlices = mask.units.contains { $0.kind.isSliced }
        if !hasSlices { try graph.checkRemovable(mask) }
        if let unit = mask.units.first(where: { $0.replacement == .mean }) {
            throw InputError("\(unit): means over calibration data are for evaluate and prune")
        }
        let dataset = try Dataset(
            contentsOf: ModelSource.dataPath(data), of: graph, axes: axes, limit: samples)
        let network = try Network(graph)
        if hasSlices {
            try network.learnSizes(from: dataset)
            try graph.checkRemovable(mask)
        }
        let fixed = graph.fixedSamples(dataset)
        let size = fixed ?? MeasurementOptions.largestBlock
        let blocks = try Sharding(samples: dataset.samples, shards: 1, blockSize: size).naturalBlocks(of: 0)
        var parts: [[(String, NumpyArray)]] = []
        for block in blocks {
            let results = try network.run(inputs(dataset, [Int](block)), mask: mask)
            guard blocks.count == 1 || results.allSatisfy({ $0.1.shape.first == block.count }) else {
                parts = [try network.run(inputs(dataset, [Int](0..<dataset.samples)), mask: mask)]
                break
            }
            parts.append(results)
        }
        let joined = try (parts.first ?? []).enumerated().map { index, named in
            (named.0, try NumpyArray(joining: parts.map { $0[index].1 }))
        }
        try NumpyArchive.write(joined, to: output)
        return WrittenOutputs(
            output: output, samples: dataset.samples, removed: mask.units.map(\.description),
            arrays: joined.map { name, array in
                WrittenOutputs.Array(name: name, elementType: array.elementType.rawValue, shape: array.shape)
            })
    }

    private static func inputs(_ dataset: Dataset, _ samples: [Int]) throws -> [String: NumpyArray] {
        var inputs: [String: NumpyArray] = [:]
        for name in dataset.inputNames { inputs[name] = try dataset.gather(samples, from: name) }
        return inputs
    }

    /// One case of a list: a model, arrays for its inputs, and where its outputs go.
    struct Case: Decodable {
        let model: String
        let data: String
        let output: String
    }

    /// What became of a case.
    struct CaseResult: Encodable {
        let model: String
        let ok: Bool
        var error: String?
        var unsupported: Bool?
    }

    /// Runs every case of a list of JSON lines, each whole and on its own, and reports each in a line of JSON.
    public static func runList(_ path: String, report: (String) -> Void) throws {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw InputError("cannot read \(path)")
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        for line in lines {
            let item = try JSONDecoder().decode(Case.self, from: Data(line.utf8))
            var result = CaseResult(model: item.model, ok: true)
            do { try run(item) } catch {
                let unsupported = (error as? EngineError)?.isUnsupported ?? false
                result = CaseResult(model: item.model, ok: false, error: "\(error)", unsupported: unsupported)
            }
            report(String(decoding: try JSONEncoder().encode(result), as: UTF8.self))
        }
    }

    private static func run(_ item: Case) throws {
        let file = try ModelFile(contentsOf: item.model)
        let (graph, unsupported) = try Graph.examined(file, requiresInputs: false)
        // The standard says what layers give in training mode too.
        let unknown = unsupported.filter { !$0.isTraining }
        guard unknown.isEmpty else { throw EngineError.cannotRun(file.path, unknown) }
        let archive = try NumpyArchive(contentsOf: item.data)
        var inputs: [String: NumpyArray] = [:]
        for port in graph.inputs { inputs[port.name] = try archive.array(named: port.name) }
        try NumpyArchive.write(Network(graph).run(inputs), to: item.output)
    }
}

extension NumpyArray {
    /// Arrays of the same type one after the other, along the first dimension.
    fileprivate init(joining parts: [NumpyArray]) throws(DatasetError) {
        let rows = parts.reduce(0) { $0 + $1.rowCount }
        let shape = parts.count == 1 ? parts[0].shape : [rows] + parts[0].shape.dropFirst()
        try self.init(shape: shape, elementType: parts[0].elementType, bytes: parts.flatMap(\.bytes))
    }
}
