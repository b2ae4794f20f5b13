public import ONNX

/// Gathers edges whose removal provably computes the same function.
///
/// Zeros that enter a zero-preserving vertex leave it as zeros. If a single edge reads what it computes, cutting
/// that edge instead gives the same function, whatever else is cut; and so on down the chain.
public struct EquivalenceClasses: Sendable {
    private let graph: Graph
    /// Whether some layer may make values that are not finite of others that are.
    private let hasHazards: Bool

    /// The classes of the edges of `graph`.
    public init(of graph: Graph) {
        self.graph = graph
        hasHazards = graph.vertices.contains { $0.facts.spoils != nil }
    }

    /// The last edge of the chain that begins at `edge`: the same for every edge of a class.
    public func last(of edge: Edge) -> Edge {
        var current = edge
        while let next = next(after: current) { current = next }
        return current
    }

    /// The unit that stands for the class of `unit` when nothing else is removed.
    ///
    /// What a layer computes and a single edge reads is removed with that edge.
    public func canonical(_ unit: Unit) -> Unit {
        edge(of: unit).map { Unit(last(of: $0)) } ?? unit
    }

    /// The mask that removes the last edge of each class that `mask` removes an edge of: of all masks that compute the
    /// same function, the one that leaves least to compute.
    ///
    /// Zeros stop before a product whose other factor another removed edge may have made infinite or NaN.
    public func canonical(_ mask: Mask) -> Mask {
        guard hasHazards, mask.count > 1,
            mask.units.contains(where: { edge(of: $0).map(meetsOtherFactor) ?? false })
        else {
            return Mask(mask.units.map(canonical(_:)))
        }
        let (risk, cuts) = (FinitenessRisk(graph, mask), Cuts(mask, in: graph))
        return Mask(
            mask.units.map { unit in
                guard var current = edge(of: unit) else { return unit }
                while let next = next(after: current), !meetsRisk(current, risk, cuts) { current = next }
                return Unit(current)
            })
    }

    /// The first edge that a unit stands for, where it stands for one that reads zeros.
    private func edge(of unit: Unit) -> Edge? {
        if let edge = unit.plainEdge { return edge }
        guard unit.kind == .layer, unit.replacement == .zero else { return nil }
        let readers = graph.readers(ofVertex: unit.edge.node)
        return readers.count == 1 ? readers[0] : nil
    }

    /// Whether the chain from `edge` on passes a layer with another operand that depends on the data.
    private func meetsOtherFactor(_ edge: Edge) -> Bool {
        var current = edge
        while let next = next(after: current) {
            if otherFactors(of: current).contains(where: { graph.values[$0.value].dependsOnData }) {
                return true
            }
            current = next
        }
        return false
    }

    /// Whether another factor at `edge` may not be finite.
    private func meetsRisk(_ edge: Edge, _ risk: FinitenessRisk, _ cuts: Cuts) -> Bool {
        otherFactors(of: edge).contains { risk[$0.value] && !cuts.contains(edge.node, $0.slot) }
    }

    private func otherFactors(of edge: Edge) -> [(slot: Int, value: Int)] {
        graph.vertices[edge.node].inputs.enumerated().compactMap { slot, value in
            value.flatMap {
                slot != edge.slot && graph.values[$0].elementType.isFloatingPoint ? (slot, $0) : nil
            }
        }
    }

    private func next(after edge: Edge) -> Edge? {
        let vertex = graph.vertices[edge.node]
        let written = vertex.outputs.compactMap { $0 }.filter {
            graph.isPinned[$0] || !graph.consumers[$0].isEmpty
        }
        guard written.count == 1, let output = written.first, output == vertex.outputs.first ?? nil,
            !graph.isPinned[output], graph.consumers[output].count == 1,
            preservesZeros(vertex, slot: edge.slot)
        else { return nil }
        return graph.consumers[output][0]
    }

    /// Whether zeros in `slot` give zeros, for every finite value in the other slots.
    func preservesZeros(_ vertex: Vertex, slot: Int) -> Bool {
        vertex.facts.preservesZeros(InputSlot(graph: graph, vertex: vertex, slot: slot))
    }
}

extension Graph {
    /// The contents of a value that is an initialiser or a Constant node's tensor; `nil` otherwise.
    public func constantData(_ value: Int) throws -> TensorData? {
        if let constant = values[value].constant { return constant }
        guard let producer = values[value].producer, vertices[producer].facts.isStored,
            let attribute = vertices[producer].node.attribute.first(where: { $0.name == "value" })
        else { return nil }
        return try TensorData(attribute.t, folder: model.folder)
    }
}
