internal import ComputationGraph
internal import Torch

/// What the search for layers to fuse looks things up in.
struct Pattern {
    let graph: Graph
    /// The tensors that are known before any data, by value.
    let constants: [Tensor?]
    /// The shape of every value.
    let shapes: [[Int]?]
    /// The normalizations that convolutions take in, by vertex.
    let normalizations: [Int: BatchNormFusion]
    let fused: FusedWeights
    /// The biases of layers that have none in the file, by vertex.
    let addedBiases: [Int: AddedBias]
    /// Whether fused layers have to be recorded for gradients.
    var isRecorded = false

    /// The vertex of kind `operation` that computes a value which one other vertex alone reads.
    func producer(_ value: Int, _ operation: String) -> Vertex? {
        guard graph.values.indices.contains(value), graph.consumers[value].count == 1,
            !graph.outputs.contains(where: { $0.value == value }), let index = graph.values[value].producer,
            graph.vertices[index].operation == operation
        else { return nil }
        return graph.vertices[index]
    }

    /// The operand that a vertex combines with a constant, and the edge that it comes through.
    func products(_ vertex: Vertex, withConstant number: Float) -> [(value: Int, edge: Edge)] {
        guard vertex.inputs.count == 2 else { return [] }
        return [(0, 1), (1, 0)].compactMap { slot, other in
            guard let value = vertex.inputs[slot], constants[value] == nil, let factor = vertex.inputs[other],
                isNumber(factor, number)
            else { return nil }
            return (value, Edge(node: vertex.index, slot: slot))
        }
    }

    /// The number that a value is for all data.
    func number(_ value: Int?) -> Float? {
        guard let tensor = value.flatMap({ constants[$0] }), tensor.count == 1, tensor.scalarType == .float32
        else { return nil }
        return try? tensor.item(as: Float.self)
    }

    /// Whether a value is this number, but for the last bit.
    func isNumber(_ value: Int, _ number: Float) -> Bool {
        self.number(value).map { abs($0 - number) <= number.ulp } ?? false
    }
}
