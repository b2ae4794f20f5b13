internal import BitCollections
internal import ONNX

/// Positions along the channels of a layer that go the same way: each atom goes as a whole, with all that is coupled to it.
public struct SliceGroup: Sendable {
    /// What its atoms are.
    public let kind: Unit.Kind
    /// The first edge that reads the channels.
    public let edge: Edge
    /// The axis of the edge's value that they lie along.
    public let axis: Int
    /// The vertices of the layers with weights whose output channels go, in the order of computation; the first gives the
    /// group its name.
    public let layers: [Int]
    /// By atom, the positions along the axis, ascending; atoms are in the order of their first position.
    public let atoms: [[Int]]
    /// By atom, the sum of the squares of all weights that go with it, of both sides.
    let squares: [Double]

    /// The L2 norm of all weights that go with a unit of the group, those of the layers that read it too.
    public func magnitude(of unit: Unit) -> Double {
        atoms(goneUnder: Mask([unit])).sorted().reduce(0) { $0 + squares[$1] }.squareRoot()
    }

    /// The positions that some atoms make together.
    func slice(ofAtoms chosen: some Sequence<Int>) -> Slice {
        Slice(edge, positions: Slice.Positions(axis: axis, ascending: chosen.flatMap { atoms[$0] }.sorted()))
    }
}

/// All groups of a graph, and why other layers have none.
public struct SliceGroups: Sendable {
    /// In the order of their first layers.
    public let groups: [SliceGroup]
    /// By vertex of a layer with weights, why its channels stay.
    public let obstacles: [Int: SliceObstacle]

    /// Looks through a graph whose sizes are known (`Graph.useSizes`).
    public init(of graph: Graph) {
        guard let coupling = graph.coupling else {
            (groups, obstacles) = ([], [:])
            return
        }
        var found: [GroupKey: Draft] = [:]
        var order: [GroupKey] = []
        var obstacles: [Int: SliceObstacle] = [:]
        var covered: [ValueAxis: BitSet] = [:]
        var roots: [ValueAxis: Int] = [:]
        let liveness = Liveness(of: graph, under: .empty)
        let layers = graph.order.filter { graph.channels(ofLayer: $0, coupling) != nil }
        for vertex in layers {
            if let axis = graph.channels(ofLayer: vertex, coupling) { roots[axis] = vertex }
        }
        for vertex in layers {
            guard let axis = graph.channels(ofLayer: vertex, coupling), let length = coupling.length(of: axis)
            else { continue }
            let readers = coupling.consumers[axis.value].filter {
                Candidates.isCandidate($0, in: graph, liveness: liveness)
            }
            guard let edge = readers.min() else {
                obstacles[vertex] = .output(value: axis.value)
                continue
            }
            var failures = 0
            for position in 0..<length where !(covered[axis]?.contains(position) ?? false) {
                do throws(SliceObstacle) {
                    let closure = try coupling.closure(of: axis, [position])
                    let members = closure.gone.keys.compactMap { roots[$0] }.sorted()
                    let key = GroupKey(root: axis, touched: closure.gone.keys.sorted())
                    if found[key] == nil { order.append(key) }
                    found[key, default: Draft(edge: edge, layers: members)].add(
                        closure, along: axis)
                    for (axis, positions) in closure.gone where roots[axis] != nil {
                        covered[axis, default: []].formUnion(positions)
                    }
                } catch {
                    if obstacles[vertex] == nil { obstacles[vertex] = error }
                    failures += 1
                    // The other positions of such a layer go the same way, mostly.
                    if failures == 3 { break }
                }
            }
        }
        let place = Dictionary(uniqueKeysWithValues: graph.order.enumerated().map { ($1, $0) })
        var squares = WeightSquares(graph)
        groups = order.compactMap { key in
            found[key].map { $0.group(key, graph, place, &squares) }
        }
        let covering = Set(groups.flatMap(\.layers))
        self.obstacles = obstacles.filter { !covering.contains($0.key) }
    }

    private struct GroupKey: Hashable {
        let root: ValueAxis
        let touched: [ValueAxis]
    }

    private struct Draft {
        let edge: Edge
        let layers: [Int]
        var atoms: [(positions: [Int], closure: Closure)] = []

        mutating func add(_ closure: Closure, along axis: ValueAxis) {
            atoms.append((Array(closure.gone[axis] ?? []), closure))
        }

        func group(_ key: GroupKey, _ graph: Graph, _ place: [Int: Int], _ squares: inout WeightSquares)
            -> SliceGroup
        {
            let kind = atoms.first.map { graph.kind(of: $0.closure, at: key.root.value) } ?? .channels
            var sums: [Double] = []
            for atom in atoms { sums.append(squares.sum(of: atom.closure)) }
            return SliceGroup(
                kind: kind, edge: edge, axis: key.root.axis,
                layers: layers.sorted { place[$0, default: 0] < place[$1, default: 0] },
                atoms: atoms.map(\.positions), squares: sums)
        }
    }
}

/// Sums of the squares of weights along their axes.
private struct WeightSquares {
    private let graph: Graph
    private var known: [ValueAxis: [Double]] = [:]

    init(_ graph: Graph) { self.graph = graph }

    /// Of all weights that go with a closure. What goes along several axes of one weight counts for each.
    mutating func sum(of closure: Closure) -> Double {
        var total = 0.0
        // A copy of a vector is none of the weights that tell layers apart.
        for (axis, positions) in closure.gone.sorted(by: { $0.key < $1.key })
        where axis.value < graph.values.count {
            let sums = along(axis)
            for position in positions where position < sums.count { total += sums[position] }
        }
        return total
    }

    private mutating func along(_ axis: ValueAxis) -> [Double] {
        if let sums = known[axis] { return sums }
        var sums: [Double] = []
        if let data = contents(along: axis), data.elementType.isFloatingPoint,
            data.shape.count > 1,
            let elements = try? data.doubles
        {
            let (length, inner) = (data.shape[axis.axis], data.shape[(axis.axis + 1)...].reduce(1, *))
            sums = [Double](repeating: 0, count: length)
            for (index, element) in elements.enumerated() {
                sums[index / inner % length] += element * element
            }
        }
        known[axis] = sums
        return sums
    }

    private func contents(along axis: ValueAxis) -> TensorData? {
        guard let coupling = graph.coupling, coupling.isCutOut(axis) else {
            return try? graph.constantData(axis.value)
        }
        return try? coupling.computedWeight(axis.value, of: graph)
    }
}

extension Graph {
    /// The axis of a layer's output that has the channels that its weights make; `nil` for anything but a layer that multiplies
    /// data with weights.
    func channels(ofLayer vertex: Int, _ coupling: Coupling) -> ValueAxis? {
        let vertex = vertices[vertex]
        guard let linear = vertex.facts.linear, let output = vertex.outputs.first ?? nil,
            vertex.inputs.count >= 2,
            let first = vertex.inputs[0], let second = vertex.inputs[1],
            values[first].dependsOnData != values[second].dependsOnData,
            let rank = coupling.shapes[output]?.count
        else { return nil }
        let axis =
            switch linear {
            case .convolution, .transposedConvolution: 1
            case .product: values[second].dependsOnData ? rank - 2 : rank - 1
            case .gemm: rank - 1
            }
        return axis >= 0 && axis < rank ? ValueAxis(value: output, axis: axis) : nil
    }
}
