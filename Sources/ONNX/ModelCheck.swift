/// The rules of the ONNX standard that Espalier relies on, for a whole model.
///
/// Source: ONNX, docs/IR.md ("Models", "Operator Sets", "Graphs").
struct ModelCheck {
    private let model: ModelProto

    init(_ model: ModelProto) {
        self.model = model
    }

    /// Checks everything.
    /// - Throws: ``ModelError`` for the first rule that is broken.
    func checkAll() throws(ModelError) {
        try checkVersions()
        guard model.hasGraph else { throw ModelError(.malformed, "is not an ONNX model: it has no graph") }
        try GraphCheck(model.graph).check()
        try checkFunctions()
    }

    private func checkVersions() throws(ModelError) {
        guard model.hasIrVersion else {
            throw ModelError(.malformed, "is not an ONNX model: it has no IR version")
        }
        let formats = ModelFile.formatVersions
        guard formats.contains(model.irVersion) else {
            throw ModelError(
                .unsupported,
                "has IR version \(model.irVersion); Espalier reads \(formats.lowerBound) to \(formats.upperBound)"
            )
        }
        try Self.checkUnique(model.opsetImport)
        guard let own = model.opsetImport.first(where: { canonicalDomain($0.domain).isEmpty }) else {
            throw ModelError(.invalid, "names no version of the ai.onnx operator set")
        }
        let sets = ModelFile.operatorSets
        guard sets.contains(Int(own.version)) else {
            throw ModelError(
                .unsupported,
                "uses version \(own.version) of the ai.onnx operator set; Espalier reads \(sets.lowerBound) to "
                    + "\(sets.upperBound)")
        }
    }

    private static func checkUnique(_ sets: [OperatorSetIdProto]) throws(ModelError) {
        var domains: Set<String> = []
        for set in sets where !domains.insert(canonicalDomain(set.domain)).inserted {
            throw ModelError(
                .invalid,
                "imports the operator set \(quoted(set.domain.isEmpty ? "ai.onnx" : set.domain)) twice")
        }
    }

    private func checkFunctions() throws(ModelError) {
        var keys: Set<FunctionKey> = []
        for function in model.functions {
            let key = FunctionKey(function)
            try locating(scope: "function \(quoted(key.title))") { () throws(ModelError) in
                guard keys.insert(key).inserted else { throw ModelError(.invalid, "is defined twice") }
                try Self.checkUnique(function.opsetImport)
                try GraphCheck(function.asGraph, isFunction: true).check()
            }
        }
    }
}

/// What a node calls a function by.
struct FunctionKey: Hashable {
    let domain: String
    let name: String
    let overload: String

    init(_ function: FunctionProto) {
        domain = canonicalDomain(function.domain)
        name = function.name
        overload = function.overload
    }

    /// The function that `node` calls, if its operation is one.
    init(calledBy node: NodeProto) {
        domain = canonicalDomain(node.domain)
        name = node.opType
        overload = node.overload
    }

    /// As an error names it.
    var title: String {
        (domain.isEmpty ? "" : domain + "::") + name + (overload.isEmpty ? "" : ":" + overload)
    }
}

extension FunctionProto {
    /// The body as a graph, for rules that both share.
    fileprivate var asGraph: GraphProto {
        var graph = GraphProto()
        graph.node = node
        graph.input = input.map { name in
            var info = ValueInfoProto()
            info.name = name
            return info
        }
        graph.output = output.map { name in
            var info = ValueInfoProto()
            info.name = name
            return info
        }
        graph.valueInfo = valueInfo
        return graph
    }
}
