public import ONNX

extension Graph {
    /// Reads the graph of a checked model.
    ///
    /// - Throws: `ModelError` for an initialiser that cannot be decoded, `GraphError` for a graph with no data input
    ///   or no output that depends on one.
    ///
    /// - Parameter requiresInputs: whether a model without any input is refused: there is nothing to prune in it.
    public init(_ model: ModelFile, requiresInputs: Bool = true) throws {
        var builder = GraphBuilder(model)
        try builder.addInitializers()
        builder.addInputs()
        try builder.addVertices()
        self = try builder.graph()
        guard !requiresInputs || !inputs.isEmpty else { throw GraphError.unusable("it has no input") }
    }
}

/// Collects the values and vertices of a graph in the order of the file.
private struct GraphBuilder {
    private struct Draft {
        var name: String
        var producer: Int?
        var elementType: ElementType
        var constant: TensorData?
        var dependsOnData = false
        var hasDynamicShape = false
    }

    private let model: ModelFile
    private var drafts: [Draft] = []
    private var index: [String: Int] = [:]
    private var vertices: [Vertex] = []
    private var declared: [String: ElementType] = [:]
    private var inputs: [Port] = []

    init(_ model: ModelFile) {
        self.model = model
        for info in model.model.graph.valueInfo + model.model.graph.output {
            if let type = ElementType(rawValue: Int(info.type.tensorType.elemType)) {
                declared[info.name] = type
            }
        }
    }

    mutating func addInitializers() throws {
        for tensor in model.model.graph.initializer {
            let data = try TensorData(tensor, folder: model.folder)
            index[tensor.name] = drafts.count
            drafts.append(Draft(name: tensor.name, elementType: data.elementType, constant: data))
        }
    }

    mutating func addInputs() {
        for info in model.model.graph.input where index[info.name] == nil {
            let port = port(info, value: drafts.count)
            index[info.name] = drafts.count
            drafts.append(Draft(name: info.name, elementType: port.elementType, dependsOnData: true))
            inputs.append(port)
        }
    }

    mutating func addVertices() throws {
        let nodes = model.model.graph.node
        // Outputs first, so that a file whose nodes are out of order reads the same.
        for (position, node) in nodes.enumerated() {
            for output in node.output where !output.isEmpty {
                index[output] = drafts.count
                drafts.append(Draft(name: output, producer: position, elementType: .float32))
            }
        }
        for (position, node) in nodes.enumerated() {
            vertices.append(
                Vertex(
                    index: position, node: node, version: model.operatorSet(of: node.domain) ?? 0,
                    inputs: node.input.map { $0.isEmpty ? nil : index[$0] },
                    outputs: node.output.map { $0.isEmpty ? nil : index[$0] },
                    captured: node.subgraphs.flatMap(\.capturedNames).compactMap { index[$0] }.sorted()))
        }
    }

    mutating func graph() throws -> Graph {
        let order = try model.topologicalOrder()
        for position in order { deduce(vertices[position]) }
        var consumers = [[Edge]](repeating: [], count: drafts.count)
        var isPinned = [Bool](repeating: false, count: drafts.count)
        for vertex in vertices {
            for (slot, input) in vertex.inputs.enumerated() {
                if let input { consumers[input].append(Edge(node: vertex.index, slot: slot)) }
            }
            for value in vertex.captured { isPinned[value] = true }
        }
        let outputs = model.model.graph.output.compactMap { info in
            index[info.name].map { port(info, value: $0) }
        }
        for output in outputs { isPinned[output.value] = true }
        return Graph(
            model: model,
            values: drafts.map {
                Value(
                    name: $0.name, producer: $0.producer, elementType: $0.elementType, constant: $0.constant,
                    dependsOnData: $0.dependsOnData, hasDynamicShape: $0.hasDynamicShape)
            },
            vertices: vertices, order: order, inputs: inputs, outputs: outputs, consumers: consumers,
            isPinned: isPinned, valueIndex: index, couplingBox: CouplingBox())
    }

    /// Works out type and dependence of a vertex's outputs from those of its inputs.
    private mutating func deduce(_ vertex: Vertex) {
        let reads = vertex.inputs.compactMap { $0 } + vertex.captured
        let types = vertex.inputs.map { $0.map { drafts[$0].elementType } }
        let depends = reads.contains { drafts[$0].dependsOnData }
        let facts = vertex.facts
        // A shape that is computed from elements: by an operator that counts them, or through an integer operand.
        let followsElements =
            switch facts.shape {
            case .inputShapes: false
            case .data: depends
            case .elements(let slots):
                slots.contains { slot in
                    vertex.inputs.indices.contains(slot)
                        && vertex.inputs[slot].map { drafts[$0].dependsOnData } ?? false
                }
            }
        let dynamic = followsElements || reads.contains { drafts[$0].hasDynamicShape }
        for (position, output) in vertex.outputs.enumerated() {
            guard let output else { continue }
            drafts[output].elementType =
                facts.outputType(OutputTyping(node: vertex.node, inputs: types, position: position))
                ?? declared[drafts[output].name] ?? .float32
            drafts[output].dependsOnData =
                facts.readsOnlyShape ? reads.contains { drafts[$0].hasDynamicShape } : depends
            drafts[output].hasDynamicShape = !facts.readsOnlyShape && dynamic
        }
    }

    private func port(_ info: ValueInfoProto, value: Int) -> Port {
        let tensor = info.type.tensorType
        let type =
            ElementType(rawValue: Int(tensor.elemType))
            ?? (drafts.indices.contains(value) ? drafts[value].elementType : .float32)
        let dimensions = tensor.shape.dim
        return Port(
            value: value, name: info.name, elementType: type,
            shape: dimensions.map { dimension in
                if case .dimValue(let size)? = dimension.value, size >= 0 { Int(size) } else { nil }
            },
            symbols: dimensions.map { dimension in
                if case .dimParam(let name)? = dimension.value { name } else { nil }
            },
            hasShape: tensor.hasShape)
    }
}
