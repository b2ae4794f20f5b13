import ComputationGraph
import Foundation
import ONNX

/// Writes image networks layer by layer and keeps track of the shapes, one sample at a time.
///
/// Weights are zeros of one byte each: they are only counted.
struct NetworkBuilder {
    private var proto = ModelProto()
    private(set) var shapes: [String: [Int]] = [:]
    private var last: String
    private var count = 0

    init(image: [Int]) {
        proto.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
        last = "image"
        shapes[last] = [1] + image
        proto.graph.input = [ValueInfoProto(name: last, .float32, shape: [1] + image)]
    }

    /// The tensor that the next layer reads unless told otherwise.
    var current: String { last }
    private var channels: Int { shapes[last]?[1] ?? 0 }

    mutating func from(_ tensor: String) { last = tensor }

    mutating func convolution(
        _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1, hasBias: Bool = false
    ) {
        let input = shapes[last] ?? []
        let padding = (kernel - 1) / 2
        let weights =
            [weight([outputs, channels / groups, kernel, kernel])] + (hasBias ? [weight([outputs])] : [])
        add(
            "Conv", weights: weights,
            shape: [1, outputs] + input[2...].map { ($0 + 2 * padding - kernel) / stride + 1 })
    }

    mutating func batchNormalization() {
        let parameters = (0..<4).map { _ in weight([channels]) }
        add("BatchNormalization", weights: parameters, shape: shapes[last] ?? [])
    }

    mutating func elementwise(_ operation: String) { add(operation, weights: [], shape: shapes[last] ?? []) }

    mutating func addition(_ other: String) { add("Add", weights: [other], shape: shapes[last] ?? []) }

    mutating func maxPool(kernel: Int, stride: Int, padding: Int) {
        let input = shapes[last] ?? []
        add(
            "MaxPool", weights: [],
            shape: input[..<2] + input[2...].map { ($0 + 2 * padding - kernel) / stride + 1 },
            attributes: [AttributeProto(name: "kernel_shape", ints: [kernel, kernel])])
    }

    mutating func globalAverage() { add("GlobalAveragePool", weights: [], shape: [1, channels, 1, 1]) }

    mutating func linear(_ outputs: Int) {
        let size = (shapes[last] ?? []).reduce(1, *)
        add("Flatten", weights: [], shape: [1, size])
        let parameters = [weight([outputs, size]), weight([outputs])]
        add(
            "Gemm", weights: parameters, shape: [1, outputs],
            attributes: [AttributeProto(name: "transB", int: 1)])
    }

    /// The graph, and what its masks cost.
    func costs() throws -> (graph: Graph, costs: CostModel) {
        var finished = proto
        finished.graph.output = [ValueInfoProto(name: last, .float32, shape: shapes[last] ?? [])]
        let graph = try Graph(ModelFile(unchecked: finished))
        return (graph, CostModel(graph: graph, shapes: graph.values.map { shapes[$0.name] }, samples: 1))
    }

    private mutating func weight(_ shape: [Int]) -> String {
        var tensor = TensorProto()
        tensor.name = "w\(proto.graph.initializer.count)"
        tensor.dataType = Int32(ElementType.float8E4M3FN.rawValue)
        tensor.dims = shape.map { Int64($0) }
        tensor.rawData = Data(count: shape.reduce(1, *))
        shapes[tensor.name] = shape
        proto.graph.initializer.append(tensor)
        return tensor.name
    }

    private mutating func add(
        _ operation: String, weights: [String], shape: some Sequence<Int>, attributes: [AttributeProto] = []
    ) {
        let name = "\(operation)\(count)"
        count += 1
        proto.graph.node.append(
            NodeProto(
                operation, inputs: [last] + weights, outputs: [name], name: name, attributes: attributes))
        shapes[name] = Array(shape)
        last = name
    }
}
