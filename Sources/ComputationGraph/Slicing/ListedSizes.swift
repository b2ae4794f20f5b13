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
    private let shapes: [[Int]?]
    private let gone: [ValueAxis: BitSet]
    private var known: [Int: [Int?]?] = [:]
    /// The same before anything goes.
    private var knownBefore: [Int: [Int?]?] = [:]
    /// Whether numbers before anything goes are asked for.
    private var isBefore: Bool
    /// How many values are being worked out, one for the other.
    private var depth = 0
    private static let mostDepth = 128

    /// - Parameters:
    ///   - shapes: the shape of every value, by value index.
    ///   - gone: by axis, the positions that go.
    init(_ graph: Graph, shapes: [[Int]?], gone: [ValueAxis: BitSet] = [:]) {
        (self.graph, self.shapes, self.gone) = (graph, shapes, gone)
        isBefore = gone.isEmpty
    }

    /// The numbers in a slot, where all are known.
    mutating func complete(_ vertex: Vertex, _ slot: Int) -> [Int]? {
        guard let numbers = self[vertex, slot] else { return nil }
        let known = numbers.compactMap { $0 }
        return known.count == numbers.count ? known : nil
    }

    /// The numbers that a value holds; `nil` where nothing is known of them.
    subscript(value: Int) -> [Int?]? {
        mutating get {
            if let known = isBefore ? knownBefore[value] : known[value] { return known }
            var found: [Int?]?
            if let data = try? graph.constantData(value), data.elementType.isInteger {
                found = (try? data.int64s)?.map { Int($0) }
            } else if let producer = graph.values[value].producer,
                graph.vertices[producer].outputs.first == value
            {
                guard depth < ListedSizes.mostDepth else { return nil }
                depth += 1
                defer { depth -= 1 }
                let vertex = graph.vertices[producer]
                let wasBefore = isBefore
                isBefore = wasBefore || graph.keepsSizes(vertex)
                found = vertex.facts.list?(&self, vertex)
                isBefore = wasBefore
            }
            if isBefore { knownBefore[value] = .some(found) } else { known[value] = .some(found) }
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
        guard let value = vertex.inputs[slot], shapes.indices.contains(value), let shape = shapes[value]
        else { return nil }
        return shape.enumerated().map { axis, size in
            isBefore ? size : size - (gone[ValueAxis(value: value, axis: axis)]?.count ?? 0)
        }
    }
}

extension Graph {
    /// Whether a vertex goes on computing with sizes as they were before anything goes: what it makes of them is in no
    /// proportion to them. A batch that was folded into heads is their product over the number of heads, without the rest.
    func keepsSizes(_ vertex: Vertex) -> Bool {
        guard vertex.facts.list != nil, let output = vertex.outputs.first ?? nil else { return false }
        return vertex.facts.roundsSizes && values[output].elementType.isInteger || convertsSizes(vertex)
    }

    /// Whether a vertex makes floating-point numbers of sizes, which no other vertex makes sizes of again.
    private func convertsSizes(_ vertex: Vertex) -> Bool {
        guard let input = vertex.inputs.first ?? nil, let output = vertex.outputs.first ?? nil,
            values[input].elementType.isInteger, values[output].elementType.isFloatingPoint
        else { return false }
        var seen: Set<Int> = [output]
        var pending = [output]
        while let value = pending.popLast() {
            for edge in consumers[value] {
                for case let result? in vertices[edge.node].outputs where !values[result].dependsOnData {
                    if values[result].elementType.isInteger { return false }
                    if seen.insert(result).inserted { pending.append(result) }
                }
            }
        }
        return true
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
        guard let elements = lists[vertex, 0], let places = lists[vertex, 1],
            lists.sizes(vertex, 0)?.count == 1
        else { return nil }
        return places.map { place in
            guard let place else { return nil }
            let index = place < 0 ? place + elements.count : place
            return elements.indices.contains(index) ? elements[index] : nil
        }
    }

    /// What a Slice along one axis takes.
    static let slicedList: ListRule = { lists, vertex in
        guard let elements = lists[vertex, 0], let shape = lists.sizes(vertex, 0), !shape.isEmpty else {
            return nil
        }
        func given(_ slot: Int, _ name: String) -> [Int]? {
            vertex.version < 10 ? try? vertex.node.ints(name, default: nil) : lists.complete(vertex, slot)
        }
        let named = given(3, "axes") ?? [0]
        guard let start = given(1, "starts"), let end = given(2, "ends"), named.count == 1, start.count == 1,
            end.count == 1
        else { return nil }
        let step = (vertex.version < 10 ? nil : lists.complete(vertex, 4))?.first ?? 1
        guard step.magnitude < 1 << 31 else { return nil }
        let axis = named[0] < 0 ? named[0] + shape.count : named[0]
        guard shape.indices.contains(axis), step != 0, elements.count == shape.reduce(1, *) else {
            return nil
        }
        let (size, inner) = (shape[axis], shape[(axis + 1)...].reduce(1, *))
        func bound(_ number: Int) -> Int {
            let resolved = number < 0 ? number + size : number
            return step > 0 ? min(max(resolved, 0), size) : min(max(resolved, -1), size - 1)
        }
        let places = Array(stride(from: bound(start[0]), to: bound(end[0]), by: step))
        return (0..<shape[..<axis].reduce(1, *)).flatMap { block in
            places.flatMap { place in
                (0..<inner).map { elements[(block * size + place) * inner + $0] }
            }
        }
    }

    /// The elements in the order of other axes.
    static let transposedList: ListRule = { lists, vertex in
        guard let elements = lists[vertex, 0], let shape = lists.sizes(vertex, 0),
            elements.count == shape.reduce(1, *),
            let order = try? vertex.node.ints("perm", default: Array(shape.indices.reversed())) as [Int],
            order.sorted() == Array(shape.indices)
        else { return nil }
        let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
        return order.reduce(into: [0]) { places, axis in
            places = places.flatMap { place in (0..<shape[axis]).map { place + $0 * strides[axis] } }
        }.map { elements[$0] }
    }

    /// So many times the same number as the input says.
    static let filledList: ListRule = { lists, vertex in
        guard let shape = lists.complete(vertex, 0), shape.count <= 1, let count = shape.first ?? 1 as Int?,
            (0..<1 << 10).contains(count)
        else { return nil }
        guard let attribute = vertex.node.attribute.first(where: { $0.name == "value" }) else { return nil }
        guard let data = try? TensorData(attribute.t, folder: ""), data.elementType.isInteger,
            let number = (try? data.int64s)?.first
        else { return nil }
        return [Int?](repeating: Int(number), count: count)
    }

    /// The elements of all inputs, end to end; those of an input that is not known are not either.
    static let joinedList: ListRule = { lists, vertex in
        var joined: [Int?] = []
        for (slot, value) in vertex.inputs.enumerated() {
            guard let value, lists.sizes(vertex, slot)?.count == 1 else { return nil }
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

    /// A number that did not overflow.
    static func exact(_ result: (partialValue: Int, overflow: Bool)) -> Int? {
        result.overflow ? nil : result.partialValue
    }

    /// A function of corresponding elements, of which one operand may have a single one.
    static func list(_ function: @escaping @Sendable (Int, Int) -> Int?) -> ListRule {
        { lists, vertex in
            guard let left = lists[vertex, 0], let right = lists[vertex, 1], !left.isEmpty, !right.isEmpty,
                left.count == right.count || left.count == 1 || right.count == 1,
                let one = lists.sizes(vertex, 0), let other = lists.sizes(vertex, 1), one.count < 2,
                other.count < 2
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
