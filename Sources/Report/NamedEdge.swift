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

    /// What is removed, where that is not the edge alone with zeros in its place.
    public let unit: String?

    /// The unit's text: `NODE:SLOT` where it is the edge alone.
    var name: String { unit ?? "\(node):\(slot)" }

    /// The same for people: of positions, their number.
    var shortName: String { unit.flatMap { Unit($0) }?.shortDescription ?? name }

    /// The same with the module that goes with it, or with what it connects: `42:1 (relu_14 → node_add_7)`.
    package var described: String {
        if let block { return "\(shortName) (\(TerminalText.cut(block, to: 40)))" }
        let ends = [tensor, consumer].map { TerminalText.cut($0, to: 24) }
        return ends.contains("") ? shortName : "\(shortName) (\(ends[0]) → \(ends[1]))"
    }

    /// Looks up the names of the edge that names `unit`.
    public init(_ unit: Unit, in graph: Graph, block: String? = nil) {
        self.init(unit.edge, in: graph, block: block, unit: unit.plainEdge == nil ? unit.description : nil)
    }

    /// Looks up the names of `edge`.
    public init(_ edge: Edge, in graph: Graph, block: String? = nil, unit: String? = nil) {
        self.unit = unit
        self.block = block
        node = edge.node
        slot = edge.slot
        consumer = graph.vertices.indices.contains(edge.node) ? graph.vertices[edge.node].name : ""
        tensor = graph.value(on: edge).map { graph.values[$0].name } ?? ""
    }
}
