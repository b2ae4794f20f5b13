public import ComputationGraph
public import ONNX

/// An operator of a model that cannot be computed.
public struct UnsupportedOperator: Hashable, Sendable, Encodable {
    /// The operator, with its domain where that is not ai.onnx.
    public let name: String
    /// How many nodes have it.
    public let count: Int
    /// The first of them in the file's node order.
    public let firstNode: Int
    /// That node's name.
    public let firstName: String
    /// Why it cannot be computed, where there is more to say than that it is not known.
    public let reason: String?
    /// Whether it could be, were it not in training mode.
    public let isTraining: Bool
}

extension UnsupportedOperator: CustomStringConvertible {
    /// `the operator Loop is not supported (2 nodes, the first is node 7, 'loop')`.
    public var description: String {
        let nodes = count == 1 ? "node \(firstNode)" : "\(count) nodes, the first is node \(firstNode)"
        return
            (isTraining ? "\(name) is in training mode" : "the operator \(name) is not supported")
            + " (\(nodes), '\(firstName)'\(reason.map { ": \($0)" } ?? ""))"
    }
}

extension [UnsupportedOperator] {
    /// All of them, and what would help, as the end of a sentence.
    public var sentence: String {
        var parts = map(\.description)
        if contains(where: { $0.name.hasPrefix("com.microsoft::") }) {
            parts.append("prune the model before it is optimised for ONNX Runtime")
        }
        if contains(where: \.isTraining) { parts.append("export the model after calling its eval()") }
        return parts.joined(separator: "; ")
    }
}

extension Graph {
    /// The graph of a model with its known conditions resolved (see `Conditions`), and what in it cannot be computed.
    ///
    /// - Parameter requiresInputs: whether a model without any input is refused.
    /// - Throws: `ModelError` or `GraphError` for a model that cannot be read.
    public static func examined(_ file: ModelFile, requiresInputs: Bool = true) throws
        -> (graph: Graph, unsupported: [UnsupportedOperator])
    {
        let conditions = try Conditions(resolving: file)
        let graph = try Graph(
            conditions.file.withWeightsAsInitializers(), requiresInputs: requiresInputs)
        return (graph, graph.unsupportedOperators(conditions.reasons) + graph.trainingLayers())
    }

    /// The graph of a model that can be computed, with its known conditions resolved.
    ///
    /// - Throws: `EngineError.cannotRun` that names every operator that is not supported, with those of ``examined(_:requiresInputs:)``.
    public static func executable(_ file: ModelFile) throws -> Graph {
        let (graph, unsupported) = try examined(file)
        guard unsupported.isEmpty else { throw EngineError.cannotRun(file.path, unsupported) }
        return graph
    }

    private func unsupportedOperators(_ conditions: [String: String]) -> [UnsupportedOperator] {
        gather { vertex in
            let name = vertex.node.qualifiedOperation
            if vertex.node.isConditional {
                return (name, conditions[vertex.node.output.first ?? ""])
            }
            guard Operators.builder(domain: vertex.node.domain, operation: vertex.operation) != nil else {
                return (name, nil)
            }
            let holds =
                !vertex.node.domain.isEmpty || Operators.holds(vertex.operation, version: vertex.version)
            return holds ? nil : ("\(name) of operator set \(vertex.version)", nil)
        }
    }

    /// Layers that behave as in training, where a sample's result is random or depends on others in its batch.
    private func trainingLayers() -> [UnsupportedOperator] {
        gather(isTraining: true) { vertex in
            guard ["", "ai.onnx"].contains(vertex.node.domain) else { return nil }
            return vertex.facts.isTraining(self, vertex) ? (vertex.operation, nil) : nil
        }
    }

    /// The vertices for which `fault` tells a name and perhaps a reason, those with the same together, in the order of
    /// their first.
    private func gather(isTraining: Bool = false, _ fault: (Vertex) -> (name: String, reason: String?)?)
        -> [UnsupportedOperator]
    {
        var found: [UnsupportedOperator] = []
        for vertex in vertices {
            guard let (name, reason) = fault(vertex) else { continue }
            if let index = found.firstIndex(where: { $0.name == name && $0.reason == reason }) {
                let first = found[index]
                found[index] = UnsupportedOperator(
                    name: name, count: first.count + 1, firstNode: first.firstNode,
                    firstName: first.firstName,
                    reason: reason, isTraining: isTraining)
            } else {
                found.append(
                    UnsupportedOperator(
                        name: name, count: 1, firstNode: vertex.index, firstName: vertex.name, reason: reason,
                        isTraining: isTraining))
            }
        }
        return found
    }
}
