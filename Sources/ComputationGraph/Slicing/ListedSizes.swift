internal import BitCollections
internal import ONNX

/// The elements of a vertex's first output, a list of sizes, from what it reads; `nil` for an element that is not known, and as a
/// whole where nothing is.
typealias ListRule = @Sendable (inout ListedSizes, Vertex) -> [Int?]?

/// The numbers in lists of sizes that are computed when the model runs, as they become when positions along axes go.
///
/// For example, a shape that is joined from a number of the file, the size of what is reshaped, and the width of another tensor
/// which has lost nothing. They are those of the sizes that the model's slices are followed with.
struct ListedSizes {
    private let graph: Graph
    private let coupling: Coupling
    private let gone: [ValueAxis: BitSet]
    private var known: [Int: [Int?]?] = [:]

    init(_ graph: Graph, _ coupling: Coupling, gone: [ValueAxis: BitSet]) {
        (self.graph, self.coupling, self.gone) = (graph, coupling, gone)
    }

    /// The numbers that a value holds; `nil` where nothing is known of them.
    subscript(value: Int) -> [Int?]? {
        mutating get {
            if let known = known[value] { return known }
            var found: [Int?]?
            if let data = try? graph.constantData(value), data.elementType.isInteger {
                found = (try? data.int64s)?.map { Int($0) }
            } else if let producer = graph.values[value].producer,
                graph.vertices[producer].outputs.first == value
            {
                let vertex = graph.vertices[producer]
                found = vertex.facts.list?(&self, vertex)
            }
            known[value] = .some(found)
            return found
        }
    }

    /// The numbers in a slot.
    subscript(vertex: Vertex, slot: Int) -> [Int?]? {
        mutating get {
            guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot] else { return nil }
            return self[value]
        }
    }

    /// The sizes of what a slot reads.
    func sizes(_ vertex: Vertex, _ slot: Int) -> [Int]? {
        guard let value = vertex.inputs[slot], let shape = coupling.shapes[value] else { return nil }
        return shape.enumerated().map { axis, size in
            size - (gone[ValueAxis(value: value, axis: axis)]?.count ?? 0)
        }
    }
}

extension OperatorFacts {
    /// The elements of the first input, in another shape or type.
    static let listOfFirst: ListRule = { $0[$1, 0] }

    /// All sizes of the input, or those of some axes in a row.
    static let listedShape: ListRule = { lists, vertex in
        guard let sizes = lists.sizes(vertex, 0) else { return nil }
        func bound(_ name: String, _ fallback: Int) -> Int {
            let given: Int = (try? vertex.node.int(name, default: nil)) ?? fallback
            return min(max(given < 0 ? given + sizes.count : given, 0), sizes.count)
        }
        let (start, end) = (bound("start", 0), bound("end", sizes.count))
        return Array(sizes[start..<max(start, end)])
    }

    /// Elements of the first input that the second one names.
    static let gatheredList: ListRule = { lists, vertex in
        guard let elements = lists[vertex, 0], let places = lists[vertex, 1] else { return nil }
        return places.map { place in
            guard let place else { return nil }
            let index = place < 0 ? place + elements.count : place
            return elements.indices.contains(index) ? elements[index] : nil
        }
    }

    /// Elements in a row.
    static let slicedList: ListRule = { lists, vertex in
        guard let elements = lists[vertex, 0] else { return nil }
        func bound(_ slot: Int, _ name: String) -> Int? {
            let given =
                vertex.version < 10
                ? (try? vertex.node.ints(name, default: nil))?.first
                : lists[vertex, slot]?.first.flatMap { $0 }
            return given.map { min(max($0 < 0 ? $0 + elements.count : $0, 0), elements.count) }
        }
        guard let start = bound(1, "starts"), let end = bound(2, "ends") else { return nil }
        let step = vertex.inputs.count > 4 ? lists[vertex, 4]?.first.flatMap { $0 } : 1
        return step == 1 ? Array(elements[start..<max(start, end)]) : nil
    }

    /// The elements of all inputs, end to end; those of an input that is not known are not either.
    static let joinedList: ListRule = { lists, vertex in
        var joined: [Int?] = []
        for (slot, value) in vertex.inputs.enumerated() {
            guard let value else { return nil }
            if let elements = lists[value] {
                joined += elements
            } else if let sizes = lists.sizes(vertex, slot), sizes.count == 1 {
                joined += [Int?](repeating: nil, count: sizes[0])
            } else {
                return nil
            }
        }
        return joined
    }

    /// A function of corresponding elements, of which one operand may have a single one.
    static func list(_ function: @escaping @Sendable (Int, Int) -> Int?) -> ListRule {
        { lists, vertex in
            guard let left = lists[vertex, 0], let right = lists[vertex, 1], !left.isEmpty, !right.isEmpty,
                left.count == right.count || left.count == 1 || right.count == 1
            else { return nil }
            return (0..<max(left.count, right.count)).map { place in
                guard let one = left[left.count == 1 ? 0 : place],
                    let other = right[right.count == 1 ? 0 : place]
                else { return nil }
                return function(one, other)
            }
        }
    }
}
