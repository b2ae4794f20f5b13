/// One call of a function: the function's body with the caller's names and attributes in it.
struct FunctionCall {
    private let call: NodeProto
    private let function: FunctionProto
    private let prefix: String
    /// Types of the body's own values, under their new names.
    private(set) var types: [ValueInfoProto] = []

    /// - Parameters:
    ///   - call: the node that calls.
    ///   - function: what it calls.
    init(_ call: NodeProto, of function: FunctionProto) {
        self.call = call
        self.function = function
        // Cut, or names would grow with every level of calls.
        prefix = String((call.name.isEmpty ? call.opType : call.name).prefix(100))
    }

    /// The nodes that do what the call does.
    /// - Parameters:
    ///   - names: gives the body's own values new names.
    ///   - nodeNames: gives its nodes new names.
    /// - Throws: ``ModelError`` if the call does not fit the function.
    mutating func body(
        _ names: inout FreshNames, _ nodeNames: inout FreshNames
    ) throws(ModelError) -> [NodeProto] {
        guard call.input.count <= function.input.count, call.output.count <= function.output.count else {
            throw ModelError(
                .invalid,
                "has \(call.input.count) inputs and \(call.output.count) outputs, but its function "
                    + "\(function.input.count) and \(function.output.count)")
        }
        var renamed: [String: String] = [:]
        for (slot, name) in function.input.enumerated() {
            renamed[name] = slot < call.input.count ? call.input[slot] : ""
        }
        // An output that is an input, or the same value as another output, needs a node of its own.
        var aliases: [(name: String, output: String)] = []
        for (name, output) in zip(function.output, call.output) where !output.isEmpty {
            if renamed[name] == nil { renamed[name] = output } else { aliases.append((name, output)) }
        }
        var own: Set<String> = []
        for node in function.node {
            for name in node.output where !name.isEmpty && renamed[name] == nil {
                renamed[name] = names.make(prefix, name)
                own.insert(name)
            }
        }
        for var info in function.valueInfo where own.contains(info.name) {
            info.name = renamed[info.name] ?? info.name
            types.append(info)
        }
        var nodes: [NodeProto] = []
        nodes.reserveCapacity(function.node.count + aliases.count)
        for node in function.node { nodes.append(try substituted(node, renamed, &names, &nodeNames)) }
        for (name, output) in aliases {
            guard let source = renamed[name], !source.isEmpty else {
                throw ModelError(
                    .unsupported, "leaves out input \(quoted(name)), which its function hands on as an output"
                )
            }
            nodes.append(
                NodeProto("Identity", inputs: [source], outputs: [output], name: nodeNames.make(prefix, name))
            )
        }
        return nodes
    }

    /// A node of the body with new names and the caller's attributes.
    private func substituted(
        _ node: NodeProto, _ renamed: [String: String], _ names: inout FreshNames,
        _ nodeNames: inout FreshNames
    ) throws(ModelError) -> NodeProto {
        var node = node
        if !node.name.isEmpty { node.name = nodeNames.make(prefix, node.name) }
        node.input = node.input.map { renamed[$0] ?? $0 }
        node.output = node.output.map { renamed[$0] ?? $0 }
        var attributes: [AttributeProto] = []
        for var attribute in node.attribute {
            if !attribute.refAttrName.isEmpty {
                if let value = try callersValue(of: attribute) { attributes.append(value) }
                continue
            }
            if attribute.hasG { attribute.g = try substituted(attribute.g, renamed, &names, &nodeNames) }
            for index in attribute.graphs.indices {
                attribute.graphs[index] = try substituted(
                    attribute.graphs[index], renamed, &names, &nodeNames)
            }
            attributes.append(attribute)
        }
        node.attribute = attributes
        return node
    }

    /// What an attribute of the body that refers to one of the function's stands for; nil if it has no value.
    private func callersValue(of attribute: AttributeProto) throws(ModelError) -> AttributeProto? {
        let wanted = attribute.refAttrName
        guard
            var value = call.attribute(wanted) ?? function.attributeProto.first(where: { $0.name == wanted })
        else { return nil }
        guard attribute.type == .undefined || attribute.type == value.type else {
            throw ModelError(
                .invalid, field: "attribute \(quoted(wanted))",
                "is \(value.type.title) where its function needs \(attribute.type.title)")
        }
        value.name = attribute.name
        return value
    }

    /// A subgraph of the body: its own names become new ones, those of the body are the body's.
    private func substituted(
        _ graph: GraphProto, _ outer: [String: String], _ names: inout FreshNames,
        _ nodeNames: inout FreshNames
    ) throws(ModelError) -> GraphProto {
        var graph = graph
        var renamed = outer
        for name in graph.definedNames.sorted() {
            renamed[name] = names.make(prefix, name)
        }
        func rename(_ name: inout String) { name = renamed[name] ?? name }
        for index in graph.input.indices { rename(&graph.input[index].name) }
        for index in graph.output.indices { rename(&graph.output[index].name) }
        for index in graph.valueInfo.indices { rename(&graph.valueInfo[index].name) }
        for index in graph.initializer.indices { rename(&graph.initializer[index].name) }
        for index in graph.quantizationAnnotation.indices {
            rename(&graph.quantizationAnnotation[index].tensorName)
            for entry in graph.quantizationAnnotation[index].quantParameterTensorNames.indices {
                rename(&graph.quantizationAnnotation[index].quantParameterTensorNames[entry].value)
            }
        }
        for index in graph.node.indices {
            graph.node[index] = try substituted(graph.node[index], renamed, &names, &nodeNames)
        }
        return graph
    }
}
