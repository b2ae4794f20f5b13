internal import BitCollections
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
