internal import ComputationGraph
internal import Datasets
internal import ONNX

extension Dataset {
    /// Reads the data of a model.
    ///
    /// - Parameters:
    ///   - axes: where the user says that inputs have their samples; −1 for one that all samples share.
    ///   - samples: how many samples to take, from the first on; `nil` for all.
    /// - Throws: `DatasetError`, for a file that cannot be read and for every array that does not suit; `InputError` for
    ///   a dimension that an input has not.
    init(contentsOf path: String, of graph: Graph, axes: [String: Int], limit samples: Int?) throws {
        let archive = try NumpyArchive(contentsOf: path)
        let inputs = try InputAxes(graph, given: axes).specifications(archive)
        try self.init(archive, inputs: inputs, limit: samples)
    }
}

/// Where the inputs of a model have their samples.
struct InputAxes {
    private let graph: Graph
    private let given: [String: Int]
    /// The declared name of the number of samples, where one is declared.
    private let symbol: String?

    /// - Throws: `InputError` for a dimension that an input has not.
    init(_ graph: Graph, given: [String: Int] = [:]) throws {
        self.graph = graph
        self.given = given
        for port in graph.inputs {
            guard let axis = given[port.name], port.hasShape, axis >= port.shape.count else { continue }
            throw InputError(
                "--batch-axis \(port.name)=\(axis): the input has \(port.shape.count) dimensions, counted from 0"
            )
        }
        // Any that is named like a batch; otherwise what an input declares first, where it has its samples by custom.
        let symbols = graph.inputs.flatMap { $0.symbols.compactMap { $0 } }
        symbol =
            symbols.first { $0.lowercased().contains("batch") }
            ?? graph.inputs.lazy.compactMap { $0.symbols.first ?? nil }.first
    }

    /// What each input wants to read, samples and all.
    func specifications(_ archive: NumpyArchive) throws -> [InputSpecification] {
        try graph.inputs.map { port in
            let axis = axis(of: port, in: archive)
            return try InputSpecification(
                name: port.name, elementTypeName: port.elementType.name,
                shape: port.hasShape ? port.shape.enumerated().map { $0 == axis ? nil : $1 } : nil,
                sampleAxis: axis < 0 ? nil : axis)
        }
    }

    /// Where an input has its samples as far as the model alone tells; `nil` for one that all samples share.
    func declaredAxis(of port: Port) -> Int? {
        if port.hasShape && port.shape.isEmpty { return nil }
        return symbol.flatMap { port.symbols.firstIndex(of: $0) } ?? 0
    }

    private func axis(of port: Port, in archive: NumpyArchive) -> Int {
        if let axis = given[port.name] { return axis }
        guard port.hasShape else { return 0 }
        if port.shape.isEmpty { return -1 }
        if let symbol, let axis = port.symbols.firstIndex(of: symbol) { return axis }
        return isShared(port, archive) ? -1 : 0
    }

    /// Whether an input is one value for all samples: of fixed sizes beside inputs that have any number of samples, and
    /// given in just these sizes.
    private func isShared(_ port: Port, _ archive: NumpyArchive) -> Bool {
        let sizes = port.shape.compactMap { $0 }
        guard sizes.count == port.shape.count, let symbol,
            let actual = try? archive.header(of: port.name).shape, actual == sizes
        else { return false }
        return graph.inputs.contains { other in
            guard let axis = given[other.name] ?? other.symbols.firstIndex(of: symbol), axis >= 0,
                let shape = try? archive.header(of: other.name).shape, shape.indices.contains(axis)
            else { return false }
            return shape[axis] != sizes[0]
        }
    }
}
