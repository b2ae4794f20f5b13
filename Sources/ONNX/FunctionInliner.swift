/// Replaces calls of a model's own functions by the functions' nodes.
///
/// Source: ONNX, docs/IR.md ("Functions"): inputs and outputs by position, an optional one left out is the empty
/// name, an attribute with `ref_attr_name` takes the caller's value, else the function's default, else none.
/// All other names of a body become new ones, so that no two calls share any.
struct FunctionInliner {
    private var model: ModelProto
    private let functions: [FunctionKey: FunctionProto]
    private var names: FreshNames
    private var nodeNames: FreshNames
    private var used: [FunctionKey] = []
    private var isUsed: Set<FunctionKey> = []
    /// Nodes that may still be made: calls can double at every level, and files come from strangers.
    private var budget = 200_000
    /// Functions within functions, at most.
    private static let deepest = 100

    /// - Parameter model: a model that ``ModelCheck`` accepts.
    init(_ model: ModelProto) {
        self.model = model
        functions = Dictionary(
            model.functions.map { (FunctionKey($0), $0) }, uniquingKeysWith: { first, _ in first })
        names = FreshNames(model.functions.isEmpty ? [] : model.graph.allNames)
        nodeNames = FreshNames(model.functions.isEmpty ? [] : model.graph.allNodeNames)
    }

    /// The model without functions.
    /// - Throws: ``ModelError`` if functions call each other in a circle, are called with more inputs or outputs
    ///   than they have, or would become absurdly many nodes.
    func inlined() throws(ModelError) -> ModelProto {
        guard !functions.isEmpty else { return model }
        var copy = self
        return try copy.run()
    }

    private mutating func run() throws(ModelError) -> ModelProto {
        model.graph = try expanded(model.graph, within: [])
        for index in model.trainingInfo.indices {
            let info = model.trainingInfo[index]
            if info.hasInitialization {
                model.trainingInfo[index].initialization = try expanded(info.initialization, within: [])
            }
            if info.hasAlgorithm {
                model.trainingInfo[index].algorithm = try expanded(info.algorithm, within: [])
            }
        }
        var domains = Set(model.opsetImport.map { canonicalDomain($0.domain) })
        for key in used {
            for set in functions[key]?.opsetImport ?? []
            where domains.insert(canonicalDomain(set.domain)).inserted {
                model.opsetImport.append(set)
            }
        }
        model.functions = []
        return model
    }

    private mutating func expanded(
        _ graph: GraphProto, within stack: [FunctionKey]
    ) throws(ModelError) -> GraphProto {
        var graph = graph
        var nodes: [NodeProto] = []
        try expand(graph.node, within: stack, into: &nodes, &graph.valueInfo)
        graph.node = nodes
        return graph
    }

    /// Appends `nodes` to `result`, calls replaced, and what is known of new values' types to `types`.
    private mutating func expand(
        _ nodes: [NodeProto], within stack: [FunctionKey], into result: inout [NodeProto],
        _ types: inout [ValueInfoProto]
    ) throws(ModelError) {
        for (index, node) in nodes.enumerated() {
            let key = FunctionKey(calledBy: node)
            guard let function = functions[key] else {
                result.append(try withExpandedSubgraphs(node, within: stack))
                continue
            }
            guard !stack.contains(key), stack.count < Self.deepest else {
                throw ModelError(
                    .invalid, scope: "function \(quoted(key.title))", "calls itself, directly or not")
            }
            if isUsed.insert(key).inserted { used.append(key) }
            budget -= 1 + function.node.reduce(0) { $0 + $1.nodeCount }
            guard budget >= 0, names.budget >= 0, nodeNames.budget >= 0 else {
                throw ModelError(
                    .unsupported, "would have more than 200,000 nodes once its functions are inlined")
            }
            let body = try locating(node: .init(node, index: stack.isEmpty ? index : nil)) {
                () throws(ModelError) in
                var call = FunctionCall(node, of: function)
                let body = try call.body(&names, &nodeNames)
                types += call.types
                return body
            }
            try expand(body, within: stack + [key], into: &result, &types)
        }
    }

    private mutating func withExpandedSubgraphs(
        _ node: NodeProto, within stack: [FunctionKey]
    ) throws(ModelError) -> NodeProto {
        var node = node
        for index in node.attribute.indices {
            if node.attribute[index].hasG {
                node.attribute[index].g = try expanded(node.attribute[index].g, within: stack)
            }
            for position in node.attribute[index].graphs.indices {
                node.attribute[index].graphs[position] = try expanded(
                    node.attribute[index].graphs[position], within: stack)
            }
        }
        return node
    }
}

extension NodeProto {
    /// The node and all nodes of its subgraphs.
    fileprivate var nodeCount: Int {
        subgraphs.reduce(1) { $0 + $1.node.reduce(0) { $0 + $1.nodeCount } }
    }
}

extension GraphProto {
    /// All names that the graph and its subgraphs define or read.
    var allNames: Set<String> {
        var names = definedNames.union(output.map(\.name))
        for node in node {
            names.formUnion(node.input)
            for subgraph in node.subgraphs { names.formUnion(subgraph.allNames) }
        }
        return names
    }

    /// The names of the nodes of the graph and its subgraphs; runtimes refuse two nodes with one name.
    var allNodeNames: Set<String> {
        node.reduce(into: []) { names, node in
            names.insert(node.name)
            for subgraph in node.subgraphs { names.formUnion(subgraph.allNodeNames) }
        }
    }
}

/// Names that nothing else has.
struct FreshNames {
    private var taken: Set<String>
    private var counts: [String: Int] = [:]
    /// Bytes of names that may still be made, for the same reason that nodes have a budget.
    private(set) var budget = 256 << 20

    /// - Parameter taken: names in use.
    init(_ taken: Set<String>) {
        self.taken = taken
    }

    /// A new name: `prefix/name`, with a number where that is taken.
    mutating func make(_ prefix: String, _ name: String) -> String {
        let wanted = "\(prefix)/\(name)"
        var result = wanted
        while !taken.insert(result).inserted {
            counts[wanted, default: 0] += 1
            result = "\(wanted)_\(counts[wanted, default: 0])"
        }
        budget -= result.utf8.count
        return result
    }
}
