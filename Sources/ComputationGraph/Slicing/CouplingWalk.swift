internal import BitCollections

/// One search for all that goes with some positions.
struct CouplingWalk {
    private let coupling: Coupling
    /// Which dimension loses whole positions where an axis runs through several: 0 for the outermost. At the first vertex where
    /// there is a choice it may be another one than at those behind it: fused projections are divided into three before they
    /// are into heads.
    struct Choice {
        let first: Int
        let others: Int

        /// In the order in which they are tried.
        static let all = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 2), (3, 3)].map {
            Choice(first: $0, others: $1)
        }
    }

    private let choice: Choice
    /// The first vertex where it made a difference.
    private var chooser: Int?
    /// Whether it made a difference.
    var hasChosen: Bool { chooser != nil }
    private var gone: [ValueAxis: BitSet] = [:]
    private var pending: [Int] = []
    private var isPending: Set<Int> = []
    private var visited: Set<Int> = []
    /// How many vertices it has come to.
    var steps: Int { visited.count }
    /// Whether it goes no further than weights are computed.
    private let staysInWeights: Bool

    init(_ coupling: Coupling, choice: Choice, staysInWeights: Bool = false) {
        (self.coupling, self.choice, self.staysInWeights) = (coupling, choice, staysInWeights)
    }

    /// Has positions go along an axis.
    mutating func remove(_ positions: BitSet, along axis: ValueAxis) throws(SliceObstacle) {
        guard let length = coupling.length(of: axis), positions.last.map({ $0 < length }) ?? true else {
            throw .noAxis(value: axis.value)
        }
        let before = gone[axis] ?? []
        let all = before.union(positions)
        guard all.count > before.count else { return }
        if let obstacle = coupling.fixed[axis.value] { throw obstacle }
        guard all.count < length else { throw .nothingLeft(value: axis.value) }
        gone[axis] = all
        let isCutOut = !staysInWeights && coupling.isCutOut(axis)
        if let producer = coupling.producers[axis.value], !isCutOut { push(producer) }
        for edge in coupling.consumers[axis.value]
        where !isCutOut || !coupling.computesWeights(edge.node) { push(edge.node) }
    }

    private mutating func push(_ vertex: Int) {
        if staysInWeights, !coupling.computesWeights(vertex) { return }
        if isPending.insert(vertex).inserted { pending.append(vertex) }
    }

    /// All that goes.
    mutating func closure() throws(SliceObstacle) -> Closure {
        while let vertex = pending.popLast() {
            isPending.remove(vertex)
            visited.insert(vertex)
            try visit(coupling.vertices[vertex])
        }
        var closure = Closure(gone: gone, vertices: visited.sorted())
        for vertex in closure.vertices { try addReads(of: coupling.vertices[vertex], to: &closure) }
        return closure
    }

    /// Follows what goes of one tensor of a vertex to the others.
    private mutating func visit(_ vertex: Vertex) throws(SliceObstacle) {
        guard let map = coupling.maps[vertex.index] else {
            guard vertex.facts.readsOnlyShape || vertex.facts.isStored else {
                throw .unknown(vertex: vertex.index)
            }
            return
        }
        for (slot, value) in coupling.inputs[vertex.index].enumerated() where map.axes(ofInput: slot) == nil {
            guard let value else { continue }
            if touches(value) { throw .unknown(vertex: vertex.index) }
        }
        let lost = try lostPositions(vertex, map)
        guard !lost.isEmpty else { return }
        for (dimension, positions) in lost.sorted(by: { $0.key < $1.key }) {
            let kind = map.dimensions[dimension]
            guard kind.kind != .mixed else { throw .mixed(vertex: vertex.index) }
            guard positions.count < kind.size || map.isRun(dimension) else {
                throw .nothingLeft(value: vertex.outputs.compactMap { $0 }.first ?? 0)
            }
        }
        for (value, axes) in tensors(of: vertex, map) {
            for (index, axis) in axes.enumerated() {
                let positions = map.positions(along: axis, losing: lost)
                guard !positions.isEmpty else { continue }
                try remove(positions, along: ValueAxis(value: value, axis: index))
            }
        }
    }

    private func touches(_ value: Int) -> Bool {
        (0..<(coupling.shapes[value]?.count ?? 0)).contains { gone[ValueAxis(value: value, axis: $0)] != nil }
    }

    private func tensors(of vertex: Vertex, _ map: AxisMap) -> [(value: Int, axes: [AxisMap.Axis])] {
        zip(coupling.inputs[vertex.index], map.inputs).compactMap { value, axes in
            value.flatMap { value in axes.map { (value, $0) } }
        }
            + zip(vertex.outputs, map.outputs).compactMap { value, axes in
                value.flatMap { value in axes.map { (value, $0) } }
            }
    }

    /// By dimension of a vertex's loop, the positions that go.
    private mutating func lostPositions(_ vertex: Vertex, _ map: AxisMap) throws(SliceObstacle) -> [Int:
        BitSet]
    {
        var lost: [Int: BitSet] = [:]
        for (value, axes) in tensors(of: vertex, map) {
            for (index, axis) in axes.enumerated() {
                let place = ValueAxis(value: value, axis: index)
                guard let positions = gone[place] else { continue }
                if !staysInWeights, coupling.computesWeights(vertex.index), coupling.isCutOut(place) {
                    continue
                }
                var start = 0
                for part in axis.parts {
                    let length = part.dimensions.reduce(1) { $0 * map.dimensions[$1].size }
                    let own =
                        axis.parts.count == 1
                        ? positions
                        : BitSet(positions[members: start..<start + length].lazy.map { $0 - start })
                    start += length
                    guard !own.isEmpty else { continue }
                    if part.dimensions.count == 1 {
                        lost[part.dimensions[0], default: []].formUnion(own)
                    } else {
                        try divide(own, among: part.dimensions, vertex, map, into: &lost)
                    }
                }
            }
        }
        return lost
    }

    /// Explains positions along several dimensions by whole positions along single ones.
    private mutating func divide(
        _ positions: BitSet, among dimensions: [Int], _ vertex: Vertex, _ map: AxisMap,
        into lost: inout [Int: BitSet]
    ) throws(SliceObstacle) {
        guard !dimensions.isEmpty else { throw .unknown(vertex: vertex.index) }
        let sizes = dimensions.map { map.dimensions[$0].size }
        let total = sizes.reduce(1, *)
        // By dimension, how many of each position's elements go.
        var counts = sizes.map { [Int](repeating: 0, count: $0) }
        for position in positions {
            var rest = position
            for place in dimensions.indices.reversed() {
                counts[place][rest % sizes[place]] += 1
                rest /= sizes[place]
            }
        }
        var whole: [BitSet] = []
        for place in dimensions.indices {
            let full = total / sizes[place]
            whole.append(BitSet(counts[place].indices.lazy.filter { counts[place][$0] == full }))
            if !whole[place].isEmpty { lost[dimensions[place], default: []].formUnion(whole[place]) }
        }
        let unexplained = positions.filter { position in
            var rest = position
            for place in dimensions.indices.reversed() {
                if whole[place].contains(rest % sizes[place]) { return false }
                rest /= sizes[place]
            }
            return true
        }
        guard !unexplained.isEmpty else { return }
        let open = dimensions.indices.filter {
            map.dimensions[dimensions[$0]].kind != .mixed && sizes[$0] > 1
        }
        guard !open.isEmpty else { throw .mixed(vertex: vertex.index) }
        if open.count > 1, chooser == nil { chooser = vertex.index }
        let place = chooser == vertex.index ? choice.first : choice.others
        let chosen = open[min(place, open.count - 1)]
        let stride = sizes[(chosen + 1)...].reduce(1, *)
        lost[dimensions[chosen], default: []].formUnion(
            BitSet(unexplained.lazy.map { $0 / stride % sizes[chosen] }))
    }

    /// Notes where a vertex sums over what goes.
    private mutating func addReads(of vertex: Vertex, to closure: inout Closure) throws(SliceObstacle) {
        guard let map = coupling.maps[vertex.index] else { return }
        for (dimension, positions) in try lostPositions(vertex, map).sorted(by: { $0.key < $1.key }) {
            func slots() -> [Int] {
                vertex.inputs.indices.filter { slot in
                    vertex.inputs[slot].map { coupling.dependsOnData[$0] } ?? false
                        && map.axes(ofInput: slot)?.contains { $0.has(dimension) } ?? false
                }
            }
            let kind = map.dimensions[dimension].kind
            guard kind == .summed || kind == .averaged else {
                if vertex.facts.role == .product, slots().count > 1 { closure.isBatched = true }
                continue
            }
            if kind == .averaged { closure.isAveraged = true }
            guard let slot = slots().first, let axes = map.axes(ofInput: slot) else {
                throw .summedWeights(vertex: vertex.index)
            }
            for (index, axis) in axes.enumerated() where axis.has(dimension) {
                let own = map.positions(along: axis, losing: [dimension: positions])
                closure.reads[Edge(node: vertex.index, slot: slot), default: []].append(
                    Slice.Positions(axis: index, ascending: own))
            }
        }
    }
}

extension AxisMap {
    /// The axes of an input; `nil` where nothing is said of it.
    func axes(ofInput slot: Int) -> [Axis]? { inputs.indices.contains(slot) ? inputs[slot] : nil }

    /// Whether a dimension is one of several parts of an axis.
    func isRun(_ dimension: Int) -> Bool {
        (inputs + outputs).contains { axes in
            axes?.contains { $0.parts.count > 1 && $0.has(dimension) } ?? false
        }
    }

    /// The positions along an axis that have a lost position along some dimension.
    func positions(along axis: Axis, losing lost: [Int: BitSet]) -> BitSet {
        if axis.parts.count == 1, axis.parts[0].dimensions.count == 1 {
            return lost[axis.parts[0].dimensions[0]] ?? []
        }
        var result: BitSet = []
        var start = 0
        for part in axis.parts {
            let sizes = part.dimensions.map { dimensions[$0].size }
            let length = sizes.reduce(1, *)
            guard part.dimensions.contains(where: { lost[$0] != nil }) else {
                start += length
                continue
            }
            for (place, dimension) in part.dimensions.enumerated() {
                guard let positions = lost[dimension] else { continue }
                let inner = sizes[(place + 1)...].reduce(1, *)
                let outer = sizes[..<place].reduce(1, *)
                for block in 0..<outer {
                    for position in positions {
                        let first = start + (block * sizes[place] + position) * inner
                        result.formUnion(first..<first + inner)
                    }
                }
            }
            start += length
        }
        return result
    }
}

extension AxisMap.Axis {
    /// Whether the axis runs through a dimension.
    func has(_ dimension: Int) -> Bool { parts.contains { $0.dimensions.contains(dimension) } }
}
