internal import BitCollections
@_exported public import Variants

/// What the removed slots of a mask read instead, worked out on a graph.
public struct Cuts: Sendable {
    /// What a slot reads in place of its own value.
    public enum Source: Hashable, Sendable {
        /// Zeros of the value's shape.
        case zero
        /// The mean of a value over the calibration data: of the slot's own, or of what a bypassed layer reads.
        case mean(Int)
        /// Another value of the same shape.
        case value(Int)
        /// Its own value with zeros at some positions along some of its axes.
        case part([Slice.Positions])
    }

    private var slots: [Int: [(slot: Int, source: Source)]] = [:]

    /// The slots that `mask` removes from `graph`.
    ///
    /// A layer's unit removes every slot that reads what the layer computes; where two units remove a slot, the edge's own
    /// comes first. What a bypassed layer lets through is what its own slot reads under the mask.
    public init(_ mask: Mask, in graph: Graph) {
        for unit in mask.units where unit.kind == .edge {
            cut(unit.edge, Self.constant(unit.replacement, at: unit.edge, in: graph))
        }
        cutLayers(of: mask, in: graph)
        cutSlices(of: mask, in: graph)
    }

    private mutating func cutLayers(of mask: Mask, in graph: Graph) {
        guard mask.units.contains(where: { $0.kind == .layer }) else { return }
        let layers = mask.units.filter { $0.kind == .layer }
        // In the order of computation, so that what one layer lets through is known when the next one asks.
        let place = Dictionary(uniqueKeysWithValues: graph.order.enumerated().map { ($1, $0) })
        for unit in layers.sorted(by: { (place[$0.edge.node] ?? 0, $0) < (place[$1.edge.node] ?? 0, $1) }) {
            for edge in graph.readers(ofVertex: unit.edge.node) where !contains(edge.node, edge.slot) {
                guard unit.replacement == .bypass else {
                    cut(edge, Self.constant(unit.replacement, at: edge, in: graph))
                    continue
                }
                let passed = graph.value(on: unit.edge).map { Source.value($0) } ?? .zero
                cut(edge, source(unit.edge.node, unit.edge.slot) ?? passed)
            }
        }
    }

    /// What goes with slices is read as zeros where it is summed over. Elsewhere it only leads to what goes too.
    private mutating func cutSlices(of mask: Mask, in graph: Graph) {
        var parts: [Edge: [Int: BitSet]] = [:]
        for unit in mask.units where unit.kind.isSliced {
            guard let closure = try? graph.coupling?.closure(of: unit.root) else { continue }
            for (edge, reads) in closure.reads where !contains(edge.node, edge.slot) {
                for read in reads {
                    parts[edge, default: [:]][read.axis, default: []].formUnion(BitSet(read.ranges.joined()))
                }
            }
        }
        for (edge, axes) in parts {
            cut(
                edge,
                .part(
                    axes.sorted { $0.key < $1.key }.map { Slice.Positions(axis: $0.key, ascending: $0.value) }
                ))
        }
    }

    private static func constant(_ replacement: Replacement, at edge: Edge, in graph: Graph) -> Source {
        replacement == .mean ? graph.value(on: edge).map { .mean($0) } ?? .zero : .zero
    }

    private mutating func cut(_ edge: Edge, _ source: Source) {
        slots[edge.node, default: []].append((edge.slot, source))
    }

    /// Whether input `slot` of vertex `node` is removed.
    public func contains(_ node: Int, _ slot: Int) -> Bool {
        slots[node]?.contains { $0.slot == slot } ?? false
    }

    /// Whether nothing of its own value enters through input `slot` of vertex `node`.
    public func isWhole(_ node: Int, _ slot: Int) -> Bool {
        switch source(node, slot) {
        case nil, .part: false
        case .zero, .mean, .value: true
        }
    }

    /// What input `slot` of vertex `node` reads instead; `nil` where it reads its own value.
    public func source(_ node: Int, _ slot: Int) -> Source? { slots[node]?.first { $0.slot == slot }?.source }

    /// The removed slots of a vertex.
    public subscript(node: Int) -> [Int] { slots[node]?.map(\.slot) ?? [] }

    /// The value that input `slot` of `vertex` reads: its own, another, or `nil` where it reads none.
    public func value(read slot: Int, of vertex: Vertex) -> Int? {
        switch source(vertex.index, slot) {
        case nil, .part: vertex.inputs[slot]
        case .value(let other): other
        case .zero, .mean: nil
        }
    }

    /// The removed slots, in canonical order.
    public var edges: [Edge] {
        slots.flatMap { node, cuts in cuts.map { Edge(node: node, slot: $0.slot) } }.sorted()
    }

    /// The vertices of which some slot reads something else under other cuts.
    public func vertices(otherThan others: Cuts) -> Set<Int> {
        Set(
            Set(edges).union(others.edges).filter {
                source($0.node, $0.slot) != others.source($0.node, $0.slot)
            }.map(\.node))
    }
}

extension Graph {
    /// The edges that read what a vertex computes.
    public func readers(ofVertex vertex: Int) -> [Edge] {
        guard vertices.indices.contains(vertex) else { return [] }
        return vertices[vertex].outputs.compactMap { $0 }.flatMap { consumers[$0] }
    }

    /// The vertices that compute or read something of a unit.
    public func vertices(touchedBy unit: Unit) -> Set<Int> {
        if unit.kind.isSliced { return Set((try? coupling?.closure(of: unit.root))?.vertices ?? []) }
        let edges = edges(of: unit)
        return Set(edges.map(\.node)).union(
            edges.compactMap { value(on: $0).flatMap { values[$0].producer } })
    }

    /// The slots that a unit removes when it alone is removed, in canonical order.
    public func edges(of unit: Unit) -> [Edge] {
        switch unit.kind {
        case .edge: [unit.edge]
        case .layer: readers(ofVertex: unit.edge.node).sorted()
        case .channels, .heads, .neurons:
            ((try? coupling?.closure(of: unit.root))?.reads.keys).map { $0.sorted() } ?? []
        }
    }
}
