internal import ONNX

/// What is known of the sizes of an output, axis by axis; `nil` when the rule does not tell. The result counts only if it
/// has as many axes as the value.
typealias SizeRule = @Sendable (inout SizeTracing, SizeTracing.Output) -> [SizeTracing.Size]?

/// What is known of the elements of a vertex's first output, an integer vector that holds sizes; `nil` when they may be
/// anything.
typealias SizeElementRule = @Sendable (inout SizeTracing, Vertex) -> [SizeTracing.Size]?

/// Which sizes may follow from input axes that no run has varied.
///
/// A size that looks fixed in every run may still follow from such an axis. Operators are followed axis by axis where
/// their rule for shapes is simple; a size that comes out of any other operator that has met such an axis is taken for
/// one that nothing is known of. What is `known` provably depends on no such axis.
struct SizeTracing {
    /// What is known of one size.
    enum Size: Hashable {
        /// It follows from varied axes and constants alone: runs tell.
        case known
        /// It may follow from an axis that was not varied. Sizes of the same number are the same.
        case open(Int)
        /// Among elements: the -1 of a Reshape.
        case rest
        /// Among elements: a written 0.
        case zero

        var isOpen: Bool { if case .open = self { true } else { false } }
    }

    /// An output whose sizes are asked for.
    struct Output {
        let vertex: Vertex
        /// Its position among the vertex's outputs.
        let position: Int
        /// The value that it writes.
        let value: Int
    }

    private let graph: Graph
    private let shapes: [[Int]?]
    private var number = 0
    /// For every value, what is known of its sizes; `nil` where no run tells its rank.
    private(set) var sizes: [[Size]?]
    /// The elements of integer vectors that hold sizes.
    private var elements: [[Size]?]
    /// Whether a value's elements may follow from an open size in ways that are not followed.
    private var isTainted: [Bool]

    /// Follows the axes `open` through `graph`.
    ///
    /// - Parameters:
    ///   - shapes: the shape of every value in one run, by value index.
    ///   - open: for every axis that was not varied, a number that axes of the same size share.
    init(_ graph: Graph, shapes: [[Int]?], open: [SizeExpression.InputAxis: Int]) {
        self.graph = graph
        self.shapes = shapes
        number = (open.values.max() ?? -1) + 1
        sizes = shapes.map { $0.map { $0.map { _ in .known } } }
        elements = graph.values.map { _ in nil }
        isTainted = graph.values.map { _ in false }
        for (input, port) in graph.inputs.enumerated() {
            sizes[port.value] = sizes[port.value]?.indices.map { axis in
                open[.init(input: input, axis: axis)].map { .open($0) } ?? .known
            }
        }
        for index in graph.order { trace(graph.vertices[index]) }
    }

    mutating func newSize() -> Size {
        number += 1
        return .open(number)
    }

    /// A size for each axis of a value, none of them known.
    private mutating func allOpen(_ value: Int) -> [Size]? {
        guard let rank = shapes[value]?.count else { return nil }
        var result: [Size] = []
        for _ in 0..<rank { result.append(newSize()) }
        return result
    }

    private mutating func trace(_ vertex: Vertex) {
        let reads = vertex.inputs.compactMap { $0 } + vertex.captured
        let meetsOpenAxis = reads.contains { sizes[$0]?.contains(where: \.isOpen) ?? false }
        let meetsOpenElement = reads.contains {
            isTainted[$0] || elements[$0]?.contains(where: \.isOpen) ?? false
        }
        guard meetsOpenAxis || meetsOpenElement else { return }
        let rules = vertex.facts
        for (position, output) in vertex.outputs.enumerated() {
            guard let output else { continue }
            let rank = shapes[output]?.count
            let found =
                vertex.captured.isEmpty
                ? rules.sizes?(&self, Output(vertex: vertex, position: position, value: output)) : nil
            sizes[output] = found.flatMap { $0.count == rank ? $0 : nil } ?? allOpen(output)
            elements[output] =
                vertex.captured.isEmpty && position == 0 ? rules.sizeElements?(&self, vertex) : nil
            isTainted[output] = elements[output] == nil && !graph.values[output].dependsOnData
        }
    }

    /// The sizes of an input's axes.
    func input(_ vertex: Vertex, _ slot: Int) -> [Size]? {
        value(vertex, slot).flatMap { sizes[$0] }
    }

    func value(_ vertex: Vertex, _ slot: Int) -> Int? {
        vertex.inputs.indices.contains(slot) ? vertex.inputs[slot] : nil
    }

    /// The number of axes of a value; `nil` where the run does not tell.
    func rank(of value: Int?) -> Int? { value.flatMap { shapes[$0]?.count } }

    /// The whole numbers of an input that the file holds.
    func numbers(_ vertex: Vertex, _ slot: Int) -> [Int]? {
        guard let value = value(vertex, slot), let data = try? graph.constantData(value) else { return nil }
        return (try? data.int64s).map { $0.map(Int.init) }
    }

    /// The axes that attribute or input `axes` names; `nil` when not known.
    func axes(_ vertex: Vertex, rank: Int) -> [Int]? {
        let found = (try? vertex.node.ints("axes", default: nil)) ?? numbers(vertex, 1)
        return found.map { $0.map { $0 < 0 ? $0 + rank : $0 } }
    }

    func int(_ vertex: Vertex, _ name: String, _ fallback: Int) -> Int {
        (try? vertex.node.int(name, default: nil)) ?? fallback
    }

    /// The elements of an operand that gives sizes, one by one; `nil` when they may be anything.
    func given(_ vertex: Vertex, _ slot: Int) -> [Size]? {
        guard let value = value(vertex, slot) else { return nil }
        if let elements = elements[value] { return elements }
        if let numbers = numbers(vertex, slot) {
            return numbers.map { $0 == -1 ? .rest : $0 == 0 ? .zero : .known }
        }
        guard !isTainted[value], !graph.values[value].dependsOnData, let shape = shapes[value] else {
            return nil
        }
        return [Size](repeating: .known, count: shape.reduce(1, *))
    }

    /// The size that an axis has when sizes are broadcast; `isFixed` tells which are a fixed number other than 1.
    mutating func joined(_ sizes: [(size: Size, isOne: Bool, isFixed: Bool)]) -> Size {
        if sizes.contains(where: { $0.size == .known && $0.isFixed }) { return .known }
        let others = sizes.filter { !($0.size == .known && $0.isOne) }
        guard let first = others.first else { return .known }
        return others.allSatisfy { $0.size == first.size } ? first.size : newSize()
    }

    /// The sizes to which the operands broadcast, but for their last `suffix` axes.
    mutating func broadcast(_ vertex: Vertex, dropping suffix: Int = 0) -> [Size]? {
        var operands: [(sizes: [Size], shape: [Int], isStored: Bool)] = []
        for value in vertex.inputs.compactMap({ $0 }) {
            guard let sizes = sizes[value], let shape = shapes[value], sizes.count >= suffix else {
                return nil
            }
            operands.append(
                (Array(sizes.dropLast(suffix)), shape.dropLast(suffix), graph.values[value].constant != nil))
        }
        let rank = operands.map(\.sizes.count).max() ?? 0
        var axes = [[(size: Size, isOne: Bool, isFixed: Bool)]](repeating: [], count: rank)
        for operand in operands {
            for (axis, size) in operand.sizes.enumerated() {
                let length = operand.shape[axis]
                axes[axis + rank - operand.sizes.count].append(
                    (size, length == 1 && operand.isStored, length != 1 && operand.isStored))
            }
        }
        return axes.map { joined($0) }
    }

    mutating func opened(_ sizes: ArraySlice<Size>) -> [Size] {
        sizes.map { $0.isOpen ? newSize() : .known }
    }

    /// The sizes with new ones where an axis of `axes` is open.
    mutating func opened(_ sizes: [Size], along axes: [Int]) -> [Size] {
        var result = sizes
        for axis in sizes.indices where axes.contains(axis) && sizes[axis].isOpen { result[axis] = newSize() }
        return result
    }
}
