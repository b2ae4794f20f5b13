internal import ComputationGraph

/// What computing vertices takes, as far as it matters for the choice between two ways to the same values.
struct ComputeCost {
    private let ofVertex: [Int]
    private var dependingOn: [Int: Int] = [:]

    /// Writing an element takes about as long as this many operations of a product.
    private static let operationsPerElement = 16

    init(graph: Graph, shapes: [[Int]?]) {
        let costs = CostModel(graph: graph, shapes: shapes, samples: 1)
        ofVertex = graph.vertices.map { vertex in
            let elements = vertex.outputs.compactMap { $0.flatMap { shapes[$0] }?.reduce(1, *) }.reduce(0, +)
            return costs.flops(of: vertex.index) + ComputeCost.operationsPerElement * elements
        }
    }

    /// In operations, of one vertex.
    func of(_ vertex: Int) -> Int { ofVertex[vertex] }

    /// Of a vertex and all that depends on it.
    mutating func dependingOn(_ vertex: Int, in graph: Graph) -> Int {
        if let known = dependingOn[vertex] { return known }
        var changes = [Bool](repeating: false, count: graph.values.count)
        var sum = 0
        for other in graph.order.lazy.map({ graph.vertices[$0] }) {
            guard
                other.index == vertex || other.captured.contains(where: { changes[$0] })
                    || other.inputs.contains(where: { $0.map { changes[$0] } ?? false })
            else { continue }
            for output in other.outputs { if let output { changes[output] = true } }
            sum += ofVertex[other.index]
        }
        dependingOn[vertex] = sum
        return sum
    }
}

extension Specialisation {
    /// What depends on the vertices that a unit's edges enter, themselves included, at the earliest of them.
    func extent(of unit: Unit) -> Int {
        graph.edges(of: unit).reduce(0) { max($0, program.cost.dependingOn($1.node, in: graph)) }
    }

    /// What computing under one mask takes at least if it starts from activations under another: all that depends on the
    /// earliest unit that only one of them removes. `nil` where that is more than `limit`.
    func distance(_ left: Mask, _ right: Mask, within limit: Int) -> Int? {
        var distance = 0
        for (units, other) in [(left.units, right), (right.units, left)] {
            for unit in units where !other.contains(unit) {
                distance = max(distance, extent(of: unit))
                if distance > limit { return nil }
            }
        }
        return distance
    }
}
