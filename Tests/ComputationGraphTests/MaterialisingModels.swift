@testable import ComputationGraph
import ONNX

/// A hand-made model whose values have shapes that are written down beside it, with `nil` for the batch and -k for
/// k times the batch.
struct SmallModel {
    private var proto = ModelProto()
    private var shapes: [String: [Int?]] = [:]

    init(operatorSet: Int = 13, formatVersion: Int64 = 8) {
        proto.irVersion = formatVersion
        proto.opsetImport = [OperatorSetIdProto(domain: "", version: operatorSet)]
        proto.graph.name = "small"
    }

    mutating func input(_ name: String, _ shape: [Int?], _ type: ElementType = .float32) {
        proto.graph.input.append(ValueInfoProto(name: name, type, shape: shape))
        shapes[name] = shape
    }

    mutating func output(_ name: String, _ type: ElementType = .float32) {
        let shape = (shapes[name] ?? []).map { $0.flatMap { $0 < 0 ? nil : $0 } }
        proto.graph.output.append(ValueInfoProto(name: name, type, shape: shape))
    }

    /// Weights that count up from 1 unless given.
    mutating func weight(_ name: String, _ shape: [Int], _ values: [Float]? = nil) throws {
        let count = shape.reduce(1, *)
        let numbers = values ?? (0..<count).map { Float($0 + 1) }
        try tensor(name, TensorData(floats: numbers, shape: shape))
    }

    mutating func integers(_ name: String, _ numbers: [Int64]) throws {
        try tensor(name, TensorData(int64s: numbers, shape: [numbers.count]))
    }

    mutating func tensor(_ name: String, _ data: TensorData) throws {
        proto.graph.initializer.append(TensorProto(name: name, data))
        shapes[name] = data.shape
        if proto.irVersion < 4 {
            proto.graph.input.append(ValueInfoProto(name: name, data.elementType, shape: data.shape))
        }
    }

    /// A node with one output.
    mutating func node(
        _ operation: String, _ inputs: [String], _ output: String, _ shape: [Int?],
        _ attributes: AttributeProto...
    ) {
        proto.graph.node.append(
            NodeProto(operation, inputs: inputs, outputs: [output], name: output, attributes: attributes))
        shapes[output] = shape
    }

    func graph() throws -> Graph { try Graph(ModelFile(unchecked: proto)) }

    /// The shapes at batches 2 and 3.
    func valueShapes(of graph: Graph) -> ValueShapes {
        ValueShapes(probes: [2, 3].map { probe(of: graph, batch: $0) })
    }

    /// The shapes at one batch.
    func probe(of graph: Graph, batch: Int) -> ValueShapes.Probe {
        ValueShapes.Probe(
            inputShapes: graph.inputs.map { (shapes[$0.name] ?? []).map { $0 ?? batch } },
            shapes: graph.values.map {
                shapes[$0.name]?.map { size in size.map { $0 < 0 ? -$0 * batch : $0 } ?? batch }
            })
    }

    /// The model without `edges`.
    func without(_ edges: String...) throws -> ModelProto {
        let graph = try graph()
        return try graph.materialise(Mask(edges.compactMap(Edge.init)), shapes: valueShapes(of: graph))
    }
}

extension ModelProto {
    /// The operators in the order of the file.
    var operations: [String] { graph.node.map(\.opType) }

    /// The node that computes `output`.
    func node(computing output: String) -> NodeProto? { graph.node.first { $0.output.contains(output) } }

    /// The initialiser that a node's slot reads; the slot's own name where it reads none.
    func initializer(of node: NodeProto?, _ slot: Int) throws -> TensorData? {
        guard let node, node.input.indices.contains(slot) else { return nil }
        return try graph.initializer.first { $0.name == node.input[slot] }.map { try TensorData($0) }
    }
}

extension Graph {
    /// The parameters of the whole model, of which no shapes are known.
    var parameterCount: Int {
        CostModel(graph: self, shapes: values.map { _ in nil }, samples: 1).cost(of: .empty).parameters
    }
}
