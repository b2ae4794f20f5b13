/// The rules of the ONNX standard that Espalier relies on, for one graph and the graphs in its nodes' attributes.
///
/// Source: ONNX, docs/IR.md ("Graphs", "Names Within a Graph", "Nodes").
struct GraphCheck {
    private let graph: GraphProto
    /// Names that the graphs around this one define, outermost first.
    private let outer: [Set<String>]
    private let isFunction: Bool

    /// Graphs within graphs, at most; the parser's own limit on messages in messages is hit first.
    private static let deepest = 50

    /// - Parameters:
    ///   - outer: names that the graphs around this one define.
    ///   - isFunction: whether this is a function's body, whose attributes may refer to the caller's.
    init(_ graph: GraphProto, outer: [Set<String>] = [], isFunction: Bool = false) {
        self.graph = graph
        self.outer = outer
        self.isFunction = isFunction
    }

    /// Checks everything.
    /// - Throws: ``ModelError`` for the first rule that is broken.
    func check() throws(ModelError) {
        guard outer.count <= Self.deepest else {
            throw ModelError(.unsupported, "has graphs nested more than \(Self.deepest) deep")
        }
        let names = try uniqueNames()
        try checkTypes()
        try checkInitializers()
        for (index, node) in graph.node.enumerated() {
            try check(node, index: index, names: names)
        }
        for output in graph.output where !isDefined(output.name, names) {
            throw ModelError(.invalid, field: "output \(quoted(output.name))", "is computed by nothing")
        }
        guard !graph.output.isEmpty || !outer.isEmpty || isFunction else {
            throw ModelError(.invalid, field: "output", "is missing: the model has none")
        }
        _ = try graph.topologicalOrder()
    }

    private func isDefined(_ name: String, _ names: Set<String>) -> Bool {
        names.contains(name) || outer.contains { $0.contains(name) }
    }

    /// All names that the graph defines.
    private func uniqueNames() throws(ModelError) -> Set<String> {
        var inputs: Set<String> = []
        for (index, input) in graph.input.enumerated() {
            guard !input.name.isEmpty else {
                throw ModelError(.invalid, field: "input \(index)", "has no name")
            }
            guard inputs.insert(input.name).inserted else {
                throw ModelError(.invalid, field: "input \(quoted(input.name))", "is there twice")
            }
        }
        var initializers: Set<String> = []
        for name in graph.initializer.map(\.name) + graph.sparseInitializer.map(\.values.name) {
            guard !name.isEmpty else { throw ModelError(.invalid, field: "an initializer", "has no name") }
            guard initializers.insert(name).inserted else {
                throw ModelError(.invalid, field: "initializer \(quoted(name))", "is there twice")
            }
        }
        // An initialiser with an input's name is that input's default.
        var names = inputs.union(initializers)
        for (index, node) in graph.node.enumerated() {
            for name in node.output where !name.isEmpty {
                guard names.insert(name).inserted else {
                    throw ModelError(
                        .invalid, node: .init(node, index: index), field: "output \(quoted(name))",
                        "has a name that something else has too")
                }
            }
        }
        var outputs: Set<String> = []
        for output in graph.output where !outputs.insert(output.name).inserted && outer.isEmpty && !isFunction
        {
            throw ModelError(.invalid, field: "output \(quoted(output.name))", "is there twice")
        }
        return names
    }

    private func check(_ node: NodeProto, index: Int, names: Set<String>) throws(ModelError) {
        try locating(node: .init(node, index: index)) { () throws(ModelError) in
            guard !node.opType.isEmpty else { throw ModelError(.invalid, "has no operator") }
            for (slot, name) in node.input.enumerated() where !name.isEmpty && !isDefined(name, names) {
                throw ModelError(
                    .invalid, field: "input \(slot)", "reads \(quoted(name)), which nothing defines")
            }
            var seen: Set<String> = []
            for attribute in node.attribute {
                guard seen.insert(attribute.name).inserted else {
                    throw ModelError(.invalid, field: "attribute \(quoted(attribute.name))", "is there twice")
                }
                try locating(field: "attribute \(quoted(attribute.name))") { () throws(ModelError) in
                    try check(attribute)
                }
            }
        }
        for attribute in node.attribute {
            let place = "\(ModelError.Node(node, index: index)), attribute \(quoted(attribute.name))"
            for subgraph in (attribute.hasG ? [attribute.g] : []) + attribute.graphs {
                do {
                    try GraphCheck(subgraph, outer: outer + [names], isFunction: isFunction).check()
                } catch {
                    var located = error
                    located.scope = [place, error.scope].compactMap { $0 }.joined(separator: ", ")
                    throw located
                }
            }
        }
    }

    /// The attribute holds what its type says, and its tensors agree with their shapes.
    private func check(_ attribute: AttributeProto) throws(ModelError) {
        guard !attribute.name.isEmpty else { throw ModelError(.invalid, "has no name") }
        if attribute.hasRefAttrName, !attribute.refAttrName.isEmpty {
            guard isFunction else {
                throw ModelError(
                    .invalid, "refers to \(quoted(attribute.refAttrName)), which only a function may do")
            }
            return
        }
        let holds =
            switch attribute.type {
            case .undefined: false
            case .float: attribute.hasF
            case .int: attribute.hasI
            case .string: attribute.hasS
            case .tensor: attribute.hasT
            case .graph: attribute.hasG
            case .sparseTensor: attribute.hasSparseTensor
            case .typeProto: attribute.hasTp
            case .floats, .ints, .strings, .tensors, .graphs, .sparseTensors, .typeProtos: true
            }
        // proto3 writers leave out a number that is 0 and a text that is empty.
        let mayBeLeftOut: Set<AttributeProto.AttributeType> = [.float, .int, .string]
        guard holds || mayBeLeftOut.contains(attribute.type) else {
            throw ModelError(.malformed, "is \(attribute.type.title) by its type, but holds none")
        }
        for tensor in (attribute.hasT ? [attribute.t] : []) + attribute.tensors { try tensor.checkElements() }
    }

    private func checkInitializers() throws(ModelError) {
        for tensor in graph.initializer {
            try locating(field: "initializer \(quoted(tensor.name))") { () throws(ModelError) in
                try tensor.checkElements()
            }
        }
    }

    /// Declared shapes have no negative sizes and can be counted.
    private func checkTypes() throws(ModelError) {
        for (kind, values) in [("input", graph.input), ("output", graph.output), ("value", graph.valueInfo)] {
            for value in values {
                try locating(field: "\(kind) \(quoted(value.name))") { () throws(ModelError) in
                    if case .tensorType(let tensor)? = value.type.value {
                        if kind != "value", outer.isEmpty { _ = try ElementType(onnx: tensor.elemType) }
                        _ = try elementCount(
                            ofDims: tensor.shape.dim.lazy.compactMap { dimension -> Int64? in
                                // -1 stands for a size that is not known, as some exporters write it.
                                if case .dimValue(let size)? = dimension.value, size != -1 {
                                    size
                                } else {
                                    nil
                                }
                            })
                    }
                }
            }
        }
    }
}
