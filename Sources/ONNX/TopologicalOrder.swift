extension NodeProto {
    /// The names that the node reads, once each: its inputs, and what its subgraphs use of the graph around them.
    public var readNames: [String] {
        guard attribute.contains(where: { $0.hasG || !$0.graphs.isEmpty }) else {
            return input.filter { !$0.isEmpty }
        }
        var seen: Set<String> = []
        return (input + subgraphs.flatMap(\.capturedNames)).filter { !$0.isEmpty && seen.insert($0).inserted }
    }
}

extension GraphProto {
    /// The names that the graph uses but does not define: as a subgraph, what it takes from the graphs around it.
    /// In order of first use, once each.
    public var capturedNames: [String] {
        let own = definedNames
        var seen: Set<String> = []
        return (node.flatMap(\.readNames) + output.map(\.name))
            .filter { !$0.isEmpty && !own.contains($0) && seen.insert($0).inserted }
    }

    /// The names of inputs, initialisers and nodes' outputs.
    var definedNames: Set<String> {
        var names = Set(input.map(\.name))
        names.formUnion(initializer.lazy.map(\.name))
        names.formUnion(sparseInitializer.lazy.map(\.values.name))
        for node in node { names.formUnion(node.output) }
        names.remove("")
        return names
    }

    /// Positions in `node`, each after all nodes that it reads from; the graph's own order where that is valid.
    ///
    /// ONNX wants nodes in such an order; files that break the rule but have one are read all the same.
    /// - Throws: ``ModelError`` naming a node on a cycle.
    public func topologicalOrder() throws(ModelError) -> [Int] {
        var producer: [String: Int] = [:]
        for (index, node) in node.enumerated() {
            for name in node.output where !name.isEmpty { producer[name] = index }
        }
        let sources = node.map { $0.readNames.compactMap { producer[$0] } }

        enum Mark { case unseen, open, done }
        var marks = [Mark](repeating: .unseen, count: node.count)
        var order: [Int] = []
        order.reserveCapacity(node.count)
        // Depth first with a stack of our own: a chain of nodes may be longer than the thread's stack is deep.
        var stack: [(node: Int, next: Int)] = []
        for root in node.indices where marks[root] == .unseen {
            marks[root] = .open
            stack.append((root, 0))
            while let top = stack.last {
                guard top.next < sources[top.node].count else {
                    marks[top.node] = .done
                    order.append(top.node)
                    stack.removeLast()
                    continue
                }
                stack[stack.count - 1].next += 1
                let source = sources[top.node][top.next]
                switch marks[source] {
                case .unseen:
                    marks[source] = .open
                    stack.append((source, 0))
                case .open:
                    throw ModelError(
                        .invalid, node: .init(node[source], index: source), "depends on its own output")
                case .done: break
                }
            }
        }
        return order
    }
}
