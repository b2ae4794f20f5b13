public import ComputationGraph

/// An edge with the names that the model gives to its ends.
public struct NamedEdge: Sendable, Hashable, Encodable {
    /// The consumer's index in the file's node order.
    public let node: Int
    /// The consumer's input slot.
    public let slot: Int
    /// The consumer's name.
    public let consumer: String
    /// The name of the tensor that enters.
    public let tensor: String
    /// The module of what goes with it, in the exporter's words; `nil` where it is not known.
    public let block: String?

    /// Looks up the names of `edge`.
    public init(_ edge: Edge, in graph: Graph, block: String? = nil) {
        self.block = block
        node = edge.node
        slot = edge.slot
        consumer = graph.vertices.indices.contains(edge.node) ? graph.vertices[edge.node].name : ""
        tensor = graph.value(on: edge).map { graph.values[$0].name } ?? ""
    }
}
