internal import Variants

/// The edges and vertices through which every path from the model's inputs to some output goes: none of them may be removed.
///
/// They dominate the output (Lengauer and Tarjan, A fast algorithm for finding dominators in a flowgraph, 1979). In a graph without
/// cycles one pass in topological order finds all immediate dominators, as nearest common ancestors in the tree of those before.
struct Bridges {
    /// Places in the tree of dominators: 0 is the source from which all model inputs come; then an entry for every vertex, and
    /// one for every edge that is the only one by which a vertex is reached.
    private var parents: [Int] = [0]
    private var depths: [Int] = [0]
    private var isBridge: [Bool] = [true]
    /// By vertex: its place; `nil` for one that no model input reaches.
    private var places: [Int?]
    /// By vertex that only one edge reaches: the edge's slot and place.
    private var lone: [(slot: Int, place: Int)?]

    /// Works them out for what a mask leaves of a graph. An output that no model input reaches any more has none.
    init(of graph: Graph, under mask: Mask) {
        places = [Int?](repeating: nil, count: graph.vertices.count)
        lone = [(slot: Int, place: Int)?](repeating: nil, count: graph.vertices.count)
        let cuts = Cuts(mask, in: graph)
        // By value: the place of what computes it; `nil` where no model input's elements reach it.
        var origins = [Int?](repeating: nil, count: graph.values.count)
        for input in graph.inputs { origins[input.value] = 0 }
        for index in graph.order {
            let vertex = graph.vertices[index]
            var found: (origin: Int, slot: Int?)?
            var isLone = true
            func reach(_ origin: Int?, _ slot: Int?) {
                guard let origin else { return }
                guard let known = found else {
                    found = (origin, slot)
                    return
                }
                isLone = false
                found = (commonAncestor(known.origin, origin), nil)
            }
            for value in vertex.captured { reach(origins[value], nil) }
            for slot in vertex.inputs.indices {
                guard let value = cuts.value(read: slot, of: vertex) else { continue }
                // What reads another value in place of its own is no edge of its own.
                reach(origins[value], value == vertex.inputs[slot] ? slot : nil)
            }
            guard let found else { continue }
            var parent = found.origin
            if isLone, let slot = found.slot {
                parent = add(below: parent)
                lone[index] = (slot, parent)
            }
            let place = add(below: parent)
            places[index] = place
            // Through Shape and its like only the shape passes on, not the elements.
            for case let output? in vertex.outputs where graph.values[output].dependsOnData {
                origins[output] = place
            }
        }
        for output in graph.outputs where graph.values[output.value].dependsOnData {
            var place = origins[output.value] ?? 0
            while !isBridge[place] {
                isBridge[place] = true
                place = parents[place]
            }
        }
    }

    private mutating func add(below parent: Int) -> Int {
        parents.append(parent)
        depths.append(depths[parent] + 1)
        isBridge.append(false)
        return parents.count - 1
    }

    private func commonAncestor(_ first: Int, _ second: Int) -> Int {
        var (left, right) = (first, second)
        while left != right {
            if depths[left] >= depths[right] { left = parents[left] } else { right = parents[right] }
        }
        return left
    }

    /// Whether an output is cut off from all model inputs when an edge goes.
    func contains(_ edge: Edge) -> Bool {
        guard let lone = lone[edge.node], lone.slot == edge.slot else { return false }
        return isBridge[lone.place]
    }

    /// Whether an output is cut off when nothing of what a vertex computes is read any more.
    func contains(vertex: Int) -> Bool { places[vertex].map { isBridge[$0] } ?? false }
}

extension Graph {
    /// Whether every output that depends on a model input still does when one more unit goes, for many units at once.
    ///
    /// - Parameter mask: what is removed already; every output depends on a model input under it.
    func staysConnected(under mask: Mask) -> (Unit) -> Bool {
        let bridges = Bridges(of: self, under: mask)
        let isEdgesAlone = mask.units.allSatisfy { $0.kind == .edge }
        return { unit in
            switch unit.kind {
            case .edge where isEdgesAlone: !bridges.contains(unit.edge)
            case _ where unit.kind.isSliced: true
            // What bypassed layers let through depends on which others are.
            case _: Liveness(of: self, under: mask.removing(unit)).isConnected
            }
        }
    }
}
