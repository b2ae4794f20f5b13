internal import ONNX

/// Adds up what the nodes of a model cost, by the names of what they read and write.
struct CostTally: Sendable {
    /// Samples that the shapes are for.
    private let samples: Int
    /// What the file stores under a name: its element type and shape.
    private let stored: [String: StoredTensor]

    /// A tensor that a file stores.
    struct StoredTensor: Sendable {
        let elementType: ElementType
        let shape: [Int]
        /// Whether it stands in a Constant node: exporters write single numbers in this way, with or without an axis.
        var isInNode = false
        var count: Int { shape.reduce(1, *) }
    }

    /// The tally of a graph's file.
    init(_ graph: Graph, samples: Int) {
        self.samples = samples
        var stored: [String: StoredTensor] = [:]
        for value in graph.values {
            guard let constant = value.constant else { continue }
            stored[value.name] = StoredTensor(elementType: constant.elementType, shape: constant.shape)
        }
        for vertex in graph.vertices where vertex.facts.isStored {
            guard let output = vertex.node.output.first, let tensor = StoredTensor(constant: vertex.node)
            else {
                continue
            }
            stored[output] = tensor
        }
        self.stored = stored
    }

    /// Operations for one sample, vertex by vertex.
    func operations(of graph: Graph, shapes: [[Int]?]) -> [Int] {
        graph.vertices.map { vertex in
            operations(
                of: vertex.node,
                inputs: vertex.inputs.map { $0.flatMap { shapes.indices.contains($0) ? shapes[$0] : nil } },
                output: vertex.outputs.first.flatMap { $0 }.flatMap {
                    shapes.indices.contains($0) ? shapes[$0] : nil
                })
        }
    }

    private func operations(of node: NodeProto, inputs: [[Int]?], output: [Int]?) -> Int {
        FloatingPointOperations(node: node, inputs: inputs, output: output).count / max(samples, 1)
    }

    /// The parameters that a node of the file itself reads.
    func parameters(of node: NodeProto) -> [(name: String, count: Int)] {
        parameters(of: node) { stored[$0] }
    }

    private func parameters(of node: NodeProto, stored: (String) -> StoredTensor?) -> [(
        name: String, count: Int
    )] {
        var found: [(name: String, count: Int)] = []
        for (slot, name) in node.input.enumerated() where !name.isEmpty {
            guard let tensor = stored(name), tensor.isParameter(of: node, in: slot) else { continue }
            found.append((name, tensor.count))
        }
        for subgraph in node.subgraphs {
            for name in subgraph.capturedNames.sorted() {
                guard let tensor = stored(name), tensor.elementType.isFloatingPoint, !tensor.shape.isEmpty
                else { continue }
                found.append((name, tensor.count))
            }
        }
        return found
    }

    /// The cost of a file that is not written yet.
    func cost(of draft: Draft) -> Cost {
        var counted: Set<String> = []
        var (elements, total) = (0, 0)
        for node in draft.nodes {
            total += operations(
                of: node, inputs: node.input.map { draft.sizes[$0] },
                output: node.output.first.flatMap { draft.sizes[$0] })
            for parameter in parameters(of: node, stored: { draft.initializers[$0] ?? stored[$0] })
            where counted.insert(parameter.name).inserted {
                elements += parameter.count
            }
        }
        return Cost(parameters: elements, flops: total)
    }
}

extension CostTally.StoredTensor {
    /// Whether the tensor counts as parameters of a node that reads it in `slot`: numbers of rank 1 and up where the node's
    /// operator has its weights, packed ones by their elements.
    func isParameter(of node: NodeProto, in slot: Int) -> Bool {
        guard !shape.isEmpty, !isInNode || count > 1 else { return false }
        let slots = node.facts.parameters
        if elementType.isFloatingPoint { return slots.floatingPoint.contains(slot) }
        return elementType.isInteger && slots.integer.contains(slot)
            && elementType.bitWidth <= slots.widestInteger
    }
}
