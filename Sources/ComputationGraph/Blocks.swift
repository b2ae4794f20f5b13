internal import ONNX

/// A branch that people mean when they speak of removing one: a residual body, a skip connection, an attention, an MLP, an
/// operand of a concatenation.
public struct Block: Sendable, Hashable {
    /// The edge whose removal takes the branch away.
    public let edge: Edge
    /// The module that all layers lie in that go (of convolutions and matrix products, if there are any), in the exporter's
    /// words; the consumer's module where none goes. `nil` where the file does not tell.
    public let name: String?
    /// What the file is smaller by.
    public let saving: Cost
    /// The operators of the layers that go, in the file's order.
    public let layers: [String]
}

/// Finds the blocks of a graph.
///
/// An edge is one if it enters a sum or a concatenation whose operands come from layers, and its removal makes weights go
/// or a thousandth of all operations. No part of an activation, of a normalisation or of a rotation is one (its operands
/// come from the very same layers), nor is an attention mask (it comes from no layer), a table of positions (nothing but a
/// table goes), or what leaves an output constant.
public struct Blocks: Sendable {
    /// In canonical order of their edges.
    public let all: [Block]

    /// The share of all operations whose saving makes a block of what has no weights.
    private static let leastShare = 0.001

    /// The blocks among `edges`, candidates of `graph`.
    init(of graph: Graph, among edges: [Edge], costs: CostModel) {
        let sources = LayerSources(graph)
        let base = costs.cost(of: .empty)
        let paths = graph.vertices.map { ModulePath(of: $0.node) }
        all = edges.compactMap { edge in
            guard graph.vertices[edge.node].facts.joinsBranches, sources.joinsBranches(edge),
                let assessment = costs.assessment(of: Mask([Unit(edge)])), assessment.constantOutputs.isEmpty
            else { return nil }
            let saving = Cost(
                parameters: base.parameters - assessment.cost.parameters,
                flops: base.flops - assessment.cost.flops)
            let tables = assessment.removedLayers.filter { graph.vertices[$0].facts.role == .lookUp }
                .reduce(0) { $0 + costs.parameters(of: $1) }
            guard
                saving.parameters > tables
                    || Double(saving.flops) >= Blocks.leastShare * Double(base.flops) && saving.flops > 0
            else { return nil }
            let layers = assessment.removedLayers
            let products = layers.filter { graph.vertices[$0].facts.role == .product }
            let gone = (products.isEmpty ? layers : products).compactMap { paths[$0] }
            return Block(
                edge: edge, name: (ModulePath.common(gone) ?? paths[edge.node])?.description, saving: saving,
                layers: layers.map { graph.vertices[$0].operation })
        }
    }
}

/// For every value, the layers that it comes from: those nearest to it on the way back to the inputs.
private struct LayerSources {
    private let graph: Graph
    /// Vertices that are layers, and −1 − i for input i.
    private var sources: [Set<Int>]
    /// By vertex that joins branches: the different sources of its operands that come from layers.
    private var joined: [Int: Set<Set<Int>>] = [:]

    init(_ graph: Graph) {
        self.graph = graph
        sources = [Set<Int>](repeating: [], count: graph.values.count)
        for (index, input) in graph.inputs.enumerated() { sources[input.value] = [-1 - index] }
        for index in graph.order {
            let vertex = graph.vertices[index]
            let reads = (vertex.inputs.compactMap { $0 } + vertex.captured).reduce(into: Set<Int>()) {
                $0.formUnion(sources[$1])
            }
            let own: Set<Int> = !reads.isEmpty && isLayer(vertex) ? [index] : reads
            for case let output? in vertex.outputs where graph.values[output].dependsOnData {
                sources[output] = own
            }
            guard vertex.facts.joinsBranches else { continue }
            for value in Set(vertex.inputs.compactMap { $0 }) where graph.values[value].dependsOnData {
                if hasLayer(sources[value]) { joined[index, default: []].insert(sources[value]) }
            }
        }
    }

    private func hasLayer(_ sources: Set<Int>) -> Bool { sources.contains { $0 >= 0 } }

    /// Whether a vertex is a layer. A look-up is one if it is in a table of weights.
    private func isLayer(_ vertex: Vertex) -> Bool {
        let role = vertex.facts.role
        guard role == .lookUp else { return role.isLayer }
        guard let table = vertex.inputs.first ?? nil else { return false }
        return !graph.values[table].dependsOnData && graph.values[table].elementType.isFloatingPoint
    }

    /// Whether the vertex that an edge enters joins what different layers compute, this edge's among them.
    func joinsBranches(_ edge: Edge) -> Bool {
        guard let value = graph.value(on: edge), graph.values[value].dependsOnData, hasLayer(sources[value])
        else { return false }
        return (joined[edge.node]?.count ?? 0) > 1
    }
}
