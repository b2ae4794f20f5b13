/// Replaces If nodes of the main graph, whose condition is known, by the nodes of the branch that is taken.
///
/// Source: ONNX, docs/Operators.md ("If"): a branch has no inputs, reads the values around it by name, and its outputs
/// are the node's by position.
struct BranchInliner {
    private var model: ModelProto
    private var names: FreshNames
    private var nodeNames: FreshNames

    /// - Parameter model: a model that ``ModelCheck`` accepts.
    init(_ model: ModelProto) {
        self.model = model
        names = FreshNames(model.graph.allNames)
        nodeNames = FreshNames(model.graph.allNodeNames)
    }

    /// The model with the If nodes at some positions replaced. In the place of each stands a node `Assume` of the domain
    /// ``ModelProto/assumptionDomain`` that reads the condition, so that whoever computes it finds out when it is another.
    ///
    /// - Parameter taken: by position in the graph's nodes, whether the condition holds.
    /// - Throws: ``ModelError`` if a branch is missing, or has other outputs than its node.
    mutating func inlined(_ taken: [Int: Bool]) throws(ModelError) -> ModelProto {
        var nodes: [NodeProto] = []
        for (index, node) in model.graph.node.enumerated() {
            guard let holds = taken[index] else {
                nodes.append(node)
                continue
            }
            nodes += try locating(node: .init(node, index: index)) { () throws(ModelError) in
                try body(of: node, holds)
            }
            var assumption = NodeProto(
                "Assume", inputs: Array(node.input.prefix(1)), outputs: [],
                name: nodeNames.make(node.name.isEmpty ? "If" : node.name, "condition"))
            assumption.domain = ModelProto.assumptionDomain
            assumption.attribute = [AttributeProto(name: "holds", int: holds ? 1 : 0)]
            nodes.append(assumption)
        }
        var result = model
        result.graph.node = nodes
        return result
    }

    private mutating func body(of node: NodeProto, _ holds: Bool) throws(ModelError) -> [NodeProto] {
        let branch = try node.graph(holds ? "then_branch" : "else_branch")
        guard branch.output.count == node.output.count else {
            throw ModelError(
                .invalid, "has \(node.output.count) outputs, but its branch \(branch.output.count)")
        }
        guard branch.sparseInitializer.isEmpty else {
            throw ModelError(.unsupported, "has sparse initializers in its branch")
        }
        // A branch is a function without inputs: its initialisers are nodes, and what it hands on has one of its own.
        var function = FunctionProto()
        function.node = branch.initializer.map { tensor in
            NodeProto(
                "Constant", inputs: [], outputs: [tensor.name], name: "",
                attributes: [AttributeProto(name: "value", tensor: tensor)])
        }
        function.node += branch.node
        let own = Set(function.node.flatMap(\.output))
        for output in branch.output {
            if own.contains(output.name) {
                function.output.append(output.name)
            } else {
                let copy = names.make("If", output.name)
                function.node.append(NodeProto("Identity", inputs: [output.name], outputs: [copy], name: ""))
                function.output.append(copy)
            }
        }
        function.valueInfo = branch.valueInfo
        var caller = node
        caller.input = []
        var call = FunctionCall(caller, of: function)
        let body = try call.body(&names, &nodeNames)
        model.graph.valueInfo += call.types
        return body
    }
}

extension ModelProto {
    /// The domain of the node that stands for an assumption about a condition. It is never written to a file.
    public static let assumptionDomain = "espalier"
}

extension ModelFile {
    /// This model with If nodes of the main graph replaced by one of their branches each.
    ///
    /// - Parameter taken: by position in the graph's nodes, whether the condition holds.
    /// - Throws: ``ModelError`` if a branch does not fit its node.
    public func inliningBranches(_ taken: [Int: Bool]) throws(ModelError) -> ModelFile {
        var result = self
        result.model = try locating(file: path) { () throws(ModelError) in
            var inliner = BranchInliner(model)
            return try inliner.inlined(taken)
        }
        return result
    }
}
