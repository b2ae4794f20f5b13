internal import BitCollections
internal import ONNX

/// How a node changes besides its weights when positions along axes of what it reads and writes go.
typealias SlicingRule = @Sendable (inout SlicedNode) throws -> Void

/// A node of which positions along axes go: what it was, and what it becomes.
struct SlicedNode {
    let vertex: Vertex
    /// The node as it is written.
    var node: NodeProto
    /// By input slot that lists numbers, and place in the list: the number that stands there instead.
    private(set) var replaced: [Int: [Int: Int]] = [:]
    /// The same for a list that is computed when the model runs: what its number is multiplied by and divided by.
    private(set) var scaled: [Int: [Int: (multiplier: Int, divisor: Int)]] = [:]
    /// By input slot: a list of numbers that stands there instead of what there was, or of nothing.
    private(set) var lists: [Int: [Int]] = [:]
    /// What the node's output is multiplied by; `nil` for nothing.
    private(set) var outputFactor: Double?
    /// The axes of the output along which the node goes on working on zeros in the place of what goes.
    private(set) var widened: [Int] = []
    private let graph: Graph
    private let coupling: Coupling
    private let gone: [ValueAxis: BitSet]

    /// - Parameter node: as it is written so far.
    init(
        _ vertex: Vertex, _ node: NodeProto, _ graph: Graph, _ coupling: Coupling, gone: [ValueAxis: BitSet]
    ) {
        (self.vertex, self.node) = (vertex, node)
        (self.graph, self.coupling, self.gone) = (graph, coupling, gone)
    }

    // MARK: What it was

    /// A shape before anything goes.
    func shape(ofInput slot: Int) -> [Int]? {
        vertex.inputs.indices.contains(slot) ? vertex.inputs[slot].flatMap { coupling.shapes[$0] } : nil
    }

    func shape(ofOutput place: Int = 0) -> [Int]? {
        vertex.outputs.indices.contains(place) ? vertex.outputs[place].flatMap { coupling.shapes[$0] } : nil
    }

    /// The positions that go along an axis.
    func lost(ofInput slot: Int, axis: Int) -> BitSet {
        vertex.inputs[slot].flatMap { gone[ValueAxis(value: $0, axis: axis)] } ?? []
    }

    func lost(ofOutput place: Int = 0, axis: Int) -> BitSet {
        vertex.outputs[place].flatMap { gone[ValueAxis(value: $0, axis: axis)] } ?? []
    }

    /// Whether what goes along an axis is made of whole stretches of a length.
    func hasWholeRuns(ofInput slot: Int, axis: Int, length: Int) -> Bool {
        let lost = lost(ofInput: slot, axis: axis)
        let starts = Set(lost.lazy.map { $0 / length })
        return starts.count * length == lost.count
    }

    /// The numbers in a slot, where the file holds them.
    func integers(_ slot: Int) -> [Int]? {
        guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot],
            let data = try? graph.constantData(value), data.elementType.isInteger
        else { return nil }
        return (try? data.int64s)?.map { Int($0) }
    }

    /// The numbers in a slot, where the file holds them or they follow from the sizes that there were.
    func numbers(_ slot: Int) -> [Int]? {
        if let integers = integers(slot) { return integers }
        var lists = ListedSizes(graph, shapes: coupling.shapes)
        return lists.complete(vertex, slot)
    }

    // MARK: What it becomes

    /// A shape after it.
    func size(ofInput slot: Int, axis: Int) -> Int {
        (shape(ofInput: slot)?[axis] ?? 0) - lost(ofInput: slot, axis: axis).count
    }

    func size(ofOutput place: Int = 0, axis: Int) -> Int {
        (shape(ofOutput: place)?[axis] ?? 0) - lost(ofOutput: place, axis: axis).count
    }

    /// Gives an attribute another number.
    mutating func set(_ name: String, _ number: Int) {
        node.attribute.removeAll { $0.name == name }
        node.attribute.append(AttributeProto(name: name, int: number))
    }

    /// Gives an attribute other numbers.
    mutating func set(_ name: String, _ numbers: [Int]) {
        node.attribute.removeAll { $0.name == name }
        node.attribute.append(AttributeProto(name: name, ints: numbers))
    }

    /// Takes an attribute away.
    mutating func remove(_ name: String) { node.attribute.removeAll { $0.name == name } }

    /// Puts another number in a list that the node reads.
    mutating func replace(_ slot: Int, at place: Int, by number: Int) {
        replaced[slot, default: [:]][place] = number
    }

    /// Puts a list of numbers in a slot.
    mutating func give(_ slot: Int, _ numbers: [Int]) { lists[slot] = numbers }

    /// Has the output multiplied by a number.
    mutating func multiplyOutput(by factor: Double) { outputFactor = factor }

    /// Has the node go on working on zeros in the place of what goes along axes of the output.
    mutating func widen(_ axes: [Int]) { widened = axes }

    /// Has a list of sizes of the output tell the new ones.
    ///
    /// A number that is computed when the model runs may follow by itself. Where it does not it keeps its proportion to what it
    /// has to be, since it may count samples too: heads that are folded into the axis of samples become fewer for each.
    ///
    /// - Parameter keeps: whether a number may stay, given its axis: one that does not stand for a size itself.
    mutating func resize(listedIn slot: Int, keeping keeps: (_ number: Int, _ axis: Int) -> Bool) {
        guard let shape = shape(ofOutput: 0), vertex.inputs.indices.contains(slot),
            let value = vertex.inputs[slot]
        else { return }
        var lists = ListedSizes(graph, shapes: coupling.shapes, gone: gone)
        guard let listed = lists[value] else { return }
        var originals = ListedSizes(graph, shapes: coupling.shapes)
        let original = originals[value]
        let skipped = shape.count - listed.count
        for axis in shape.indices where axis >= skipped {
            let size = size(ofOutput: 0, axis: axis)
            guard let number = listed[axis - skipped], number != size, !keeps(number, axis),
                // A size may follow from one elsewhere that changes.
                !lost(axis: axis).isEmpty || original?[axis - skipped] != number
            else { continue }
            if integers(slot) != nil {
                replace(slot, at: axis - skipped, by: size)
            } else if number > 0 {
                scaled[slot, default: [:]][axis - skipped] = (size, number)
            }
        }
    }

    private func lost(axis: Int) -> BitSet { lost(ofOutput: 0, axis: axis) }
}
