internal import BitCollections
internal import FoundationEssentials
internal import ONNX

extension Mask {
    /// The units that are made of positions along axes.
    var slices: [Unit] { units.filter(\.kind.isSliced) }
    /// The mask without them.
    var withoutSlices: Mask { Mask(units.filter { !$0.kind.isSliced }) }
}

extension Graph {
    /// A unit of a mask that cannot be removed together with the mask's slices, if there is one.
    ///
    /// A slot that sums over what goes cannot read a mean or another value instead of its own, and a layer can only be bypassed
    /// while its input and output have the same shape.
    func unitThatNeedsSlices(of mask: Mask) -> Unit? {
        let slices = mask.slices
        guard let coupling, !slices.isEmpty else { return nil }
        let others = mask.units.filter { !$0.kind.isSliced && $0.replacement != .zero }
        guard !others.isEmpty else { return nil }
        let closures = slices.compactMap { try? coupling.closure(of: $0.root) }
        let reads = Set(closures.flatMap(\.reads.keys))
        func gone(_ value: Int?) -> [Int: BitSet] {
            var result: [Int: BitSet] = [:]
            for closure in closures {
                for (axis, positions) in closure.gone where axis.value == value {
                    result[axis.axis, default: []].formUnion(positions)
                }
            }
            return result
        }
        return others.first { unit in
            !reads.isDisjoint(with: edges(of: unit))
                || unit.replacement == .bypass
                    && gone(value(on: unit.edge)) != gone(vertices[unit.edge.node].outputs.first ?? nil)
        }
    }
}

/// A graph without some slices, node by node the same: vertices keep their numbers, and values their names.
struct SlicedGraph {
    let graph: Graph
    /// By value of this graph, the value of the original one; `nil` for what was added.
    private let origins: [Int?]
    /// The shapes of what was added and is computed, by name.
    private let added: [String: [Int]]
    private let original: Graph
    private let gone: [ValueAxis: BitSet]

    /// Leaves slices out of a graph whose sizes are known.
    ///
    /// - Parameter keepsContents: whether weights are written; without it they are zeros, and the graph is good for counting.
    /// - Throws: `GraphError` for a unit that cannot go, or a node that cannot be written.
    init(_ graph: Graph, without units: [Unit], keepsContents: Bool = true) throws {
        guard let coupling = graph.coupling else {
            throw GraphError.notWritable(reason: "the sizes of the model's values are not known")
        }
        var gone: [ValueAxis: BitSet] = [:]
        var touched: Set<Int> = []
        for unit in units {
            do throws(SliceObstacle) {
                let closure = try coupling.closure(of: unit.root)
                for (axis, positions) in closure.gone { gone[axis, default: []].formUnion(positions) }
                touched.formUnion(closure.vertices)
            } catch {
                throw GraphError.unknownUnit(unit, reason: error.reason(in: graph))
            }
        }
        var writer = SliceWriter(graph, coupling, gone, keepsContents: keepsContents)
        try writer.writeConstants()
        for vertex in touched.sorted() { try writer.write(graph.vertices[vertex]) }
        try writer.keepSizesComputedWith()
        self.graph = try Graph(ModelFile(unchecked: writer.proto, name: graph.model.path))
        added = writer.added
        origins = self.graph.values.map { graph.valueIndex[$0.name] }
        original = graph
        self.gone = gone
    }

    /// The model: its nodes in the order of computation, without nodes and tensors that nothing reads any more.
    var model: ModelProto {
        var proto = graph.model.model
        var read = Set(proto.graph.output.map(\.name))
        var nodes: [NodeProto] = []
        for node in graph.order.reversed().map({ proto.graph.node[$0] })
        where node.output.contains(where: read.contains) {
            nodes.append(node)
            read.formUnion(node.input)
            for subgraph in node.subgraphs { read.formUnion(subgraph.capturedNames) }
        }
        proto.graph.node = nodes.reversed()
        proto.graph.initializer.removeAll { !read.contains($0.name) }
        return proto
    }

    /// The shapes of all values, of those of the original graph.
    func shapes(_ shapes: [[Int]?]) -> [[Int]?] {
        graph.values.indices.map { value in
            guard let origin = origins[value] else {
                return graph.values[value].constant?.shape ?? added[graph.values[value].name]
            }
            guard shapes.indices.contains(origin), var shape = shapes[origin] else { return nil }
            for axis in shape.indices {
                if let positions = gone[ValueAxis(value: origin, axis: axis)] {
                    shape[axis] -= positions.count
                }
            }
            return shape
        }
    }

    /// The same of several runs.
    func shapes(_ shapes: ValueShapes) -> ValueShapes {
        ValueShapes(
            probes: shapes.probes.map {
                ValueShapes.Probe(inputShapes: $0.inputShapes, shapes: self.shapes($0.shapes))
            })
    }

    /// The means of values of the original graph.
    func means(_ means: ValueMeans) -> ValueMeans {
        var sliced: [Int: ValueMeans.Mean] = [:]
        for (value, origin) in origins.enumerated() {
            guard let origin, let mean = means.means[origin] else { continue }
            sliced[value] = mean.without(
                mean.shape.indices.map { gone[ValueAxis(value: origin, axis: $0)] ?? [] })
        }
        return ValueMeans(sliced)
    }
}

/// Writes the nodes and weights of a graph without some slices.
private struct SliceWriter {
    private let graph: Graph
    private let coupling: Coupling
    private let gone: [ValueAxis: BitSet]
    private let keepsContents: Bool
    private var names: UniqueNames
    var proto: ModelProto
    /// The shapes of values that are computed and the graph had not, by name.
    private(set) var added: [String: [Int]] = [:]

    init(_ graph: Graph, _ coupling: Coupling, _ gone: [ValueAxis: BitSet], keepsContents: Bool) {
        (self.graph, self.coupling, self.gone) = (graph, coupling, gone)
        self.keepsContents = keepsContents
        proto = graph.model.model
        names = UniqueNames(proto.graph)
        let changed = Set(gone.keys.map { graph.values[coupling.stored($0.value)].name })
        proto.graph.valueInfo.removeAll { changed.contains($0.name) }
        // Of what may be given in place of a weight the weight's shape is left to tell.
        proto.graph.input.removeAll { changed.contains($0.name) }
    }

    /// Cuts the positions that go out of what the file stores.
    mutating func writeConstants() throws {
        let places = Dictionary(
            proto.graph.initializer.enumerated().map { ($1.name, $0) },
            uniquingKeysWith: { first, _ in first })
        let touched = Set(gone.keys.map { coupling.stored($0.value) })
        for value in touched.sorted() {
            guard let data = try graph.constantData(value) else { continue }
            let copies = coupling.copies(of: value)
            guard copies.isEmpty else {
                try writeCopies(copies, of: value, data, places)
                continue
            }
            let tensor = try smaller(data, lost(value, data), named: graph.values[value].name)
            if let place = places[tensor.name] {
                proto.graph.initializer[place] = tensor
            } else if let producer = graph.values[value].producer,
                let place = proto.graph.node[producer].attribute.firstIndex(where: { $0.name == "value" })
            {
                proto.graph.node[producer].attribute[place] = AttributeProto(name: "value", tensor: tensor)
            }
        }
    }

    /// Writes a vector that several slots read: what is left of it in each, and the same once.
    private mutating func writeCopies(
        _ copies: [Int], of value: Int, _ data: TensorData, _ places: [String: Int]
    ) throws {
        let name = graph.values[value].name
        let lost = copies.map { self.lost($0, data) }
        var parts: [[BitSet]] = []
        for part in lost where !parts.contains(part) { parts.append(part) }
        // It keeps its name where nothing goes; if something goes everywhere, the first part has it.
        let kept = parts.first { $0.allSatisfy(\.isEmpty) } ?? parts[0]
        for part in parts {
            let own = part == kept ? name : names("\(name)/part")
            for (copy, lost) in zip(copies, lost) where lost == part {
                for edge in coupling.consumers[copy] { proto.graph.node[edge.node].input[edge.slot] = own }
            }
            let tensor = try smaller(data, part, named: own)
            if let place = places[own] {
                proto.graph.initializer[place] = tensor
            } else {
                proto.graph.initializer.append(tensor)
            }
        }
    }

    /// By axis, the positions of a stored value that go.
    private func lost(_ value: Int, _ data: TensorData) -> [BitSet] {
        data.shape.indices.map { gone[ValueAxis(value: value, axis: $0)] ?? [] }
    }

    private func smaller(_ data: TensorData, _ lost: [BitSet], named name: String) throws(GraphError)
        -> TensorProto
    {
        guard let smaller = data.without(lost, keepsContents: keepsContents) else {
            throw GraphError.notWritable(
                reason: "'\(name)' is of a type that cannot be cut: \(data.elementType.name)")
        }
        return TensorProto(name: name, smaller)
    }

    /// Changes what a node says of sizes.
    mutating func write(_ vertex: Vertex) throws {
        guard let rule = vertex.facts.slicing else { return }
        var sliced = SlicedNode(vertex, proto.graph.node[vertex.index], graph, coupling, gone: gone)
        try rule(&sliced)
        var node = sliced.node
        for (slot, numbers) in sliced.lists {
            node.input += [String](repeating: "", count: max(0, slot + 1 - node.input.count))
            node.input[slot] = try list(numbers, for: vertex)
        }
        for (slot, changes) in sliced.replaced {
            if var numbers = sliced.integers(slot) {
                for (place, number) in changes { numbers[place] = number }
                node.input[slot] = try list(numbers, for: vertex)
            } else {
                node.input[slot] = try overridden(slot, changes, of: vertex)
            }
        }
        for (slot, factors) in sliced.scaled { node.input[slot] = try scaled(slot, factors, of: vertex) }
        proto.graph.node[vertex.index] = node
    }

    /// Has sizes that are computed with keep what they were: a head's size, of whose root the scale of an attention is made, and
    /// what is divided by the number of heads.
    mutating func keepSizesComputedWith() throws {
        var (before, after) = (
            ListedSizes(graph, shapes: coupling.shapes),
            ListedSizes(graph, shapes: coupling.shapes, gone: gone)
        )
        for vertex in graph.vertices where graph.keepsSizes(vertex) {
            for slot in vertex.inputs.indices {
                guard let old = before[vertex, slot], let new = after[vertex, slot], old != new else {
                    continue
                }
                var factors: [Int: (multiplier: Int, divisor: Int)] = [:]
                for (place, (old, new)) in zip(old, new).enumerated() {
                    if let old, let new, old != new, new > 0 { factors[place] = (old, new) }
                }
                guard !factors.isEmpty else { continue }
                proto.graph.node[vertex.index].input[slot] = try scaled(slot, factors, of: vertex)
            }
        }
    }

    /// - Parameter isScalar: whether it is a single number without an axis.
    private mutating func list(_ numbers: [Int], isScalar: Bool = false, for vertex: Vertex) throws -> String
    {
        let name = names("\(vertex.name)/sizes")
        let shape = isScalar ? [] : [numbers.count]
        proto.graph.initializer.append(
            TensorProto(name: name, try TensorData(int64s: numbers.map { Int64($0) }, shape: shape)))
        return name
    }

    /// A list that is computed when the model runs, with some of its numbers multiplied and divided.
    private mutating func scaled(
        _ slot: Int, _ factors: [Int: (multiplier: Int, divisor: Int)], of vertex: Vertex
    ) throws -> String {
        let (value, length) = try computedList(slot, of: vertex)
        let places = 0..<(length ?? 1)
        let multipliers = try list(
            places.map { factors[$0]?.multiplier ?? 1 }, isScalar: length == nil, for: vertex)
        let divisors = try list(
            places.map { factors[$0]?.divisor ?? 1 }, isScalar: length == nil, for: vertex)
        let (product, result) = (names("\(vertex.name)/product"), names("\(vertex.name)/sizes"))
        proto.graph.node += [
            .product(
                graph.values[value].name, multipliers, output: product, name: names("\(vertex.name)/scaling")),
            .quotient(product, divisors, output: result, name: names("\(vertex.name)/division")),
        ]
        for name in [product, result] { added[name] = length.map { [$0] } ?? [] }
        return result
    }

    /// The value in a slot that holds a list of sizes, and how many; `nil` for a single one without an axis.
    private func computedList(_ slot: Int, of vertex: Vertex) throws(GraphError) -> (value: Int, length: Int?)
    {
        guard let value = vertex.inputs[slot], let shape = coupling.shapes[value], shape.count <= 1,
            graph.values[value].elementType == .int64
        else {
            throw .notWritable(
                reason:
                    "it is not known how '\(vertex.name)' (\(vertex.operation)) computes the sizes in slot \(slot)"
            )
        }
        return (value, shape.first)
    }

    /// A list that is computed when the model runs, with other numbers in some places.
    private mutating func overridden(_ slot: Int, _ changes: [Int: Int], of vertex: Vertex) throws -> String {
        let (value, count) = try computedList(slot, of: vertex)
        let length = count ?? 0
        let condition = names("\(vertex.name)/replaced")
        let bytes = Data((0..<length).map { changes[$0] == nil ? 0 : 1 })
        proto.graph.initializer.append(
            TensorProto(name: condition, try TensorData(elementType: .bool, shape: [length], bytes: bytes)))
        let numbers = try list((0..<length).map { changes[$0] ?? 0 }, for: vertex)
        let result = names("\(vertex.name)/sizes")
        proto.graph.node.append(
            .choice(
                condition, numbers, graph.values[value].name, output: result,
                name: names("\(vertex.name)/choice")))
        added[result] = [length]
        return result
    }
}

extension TensorData {
    /// The tensor without some positions along each of its axes; `nil` for strings and packed numbers.
    ///
    /// - Parameter keepsContents: whether elements are copied; without it they are zeros.
    func without(_ lost: [BitSet], keepsContents: Bool) -> TensorData? {
        let width = elementType.bitWidth / 8
        guard elementType != .string, elementType.bitWidth % 8 == 0, width > 0 else { return nil }
        var (shape, bytes) = (self.shape, self.bytes)
        for axis in shape.indices where !lost[axis].isEmpty {
            let (length, inner) = (shape[axis], shape[(axis + 1)...].reduce(width, *))
            let outer = shape[..<axis].reduce(1, *)
            let kept = (0..<length).filter { !lost[axis].contains($0) }
            shape[axis] = kept.count
            guard keepsContents else { continue }
            let runs = Slice.Positions(axis: axis, ascending: kept).ranges
            var smaller = Data(capacity: outer * kept.count * inner)
            for block in 0..<outer {
                let start = bytes.startIndex + block * length * inner
                for run in runs {
                    smaller.append(bytes[start + run.lowerBound * inner..<start + run.upperBound * inner])
                }
            }
            bytes = smaller
        }
        if !keepsContents { bytes = Data(count: shape.reduce(width, *)) }
        return try? TensorData(elementType: elementType, shape: shape, bytes: bytes)
    }
}
