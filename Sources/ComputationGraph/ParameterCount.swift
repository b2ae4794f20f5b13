public import ONNX

extension ModelProto {
    /// The number of parameters: elements of the floating-point initialisers of rank 1 and up that a node reads,
    /// without the running mean and variance of BatchNormalization (slots 3 and 4), which no training step changes.
    public var parameterCount: Int {
        var read: Set<String> = []
        for node in graph.node {
            for (slot, name) in node.input.enumerated() where !name.isEmpty {
                if node.opType == "BatchNormalization" && slot >= 3 { continue }
                read.insert(name)
            }
            for subgraph in node.subgraphs { read.formUnion(subgraph.capturedNames) }
        }
        return graph.initializer.reduce(0) { total, tensor in
            guard !tensor.dims.isEmpty, read.contains(tensor.name),
                ElementType(rawValue: Int(tensor.dataType))?.isFloatingPoint ?? false
            else { return total }
            return total + tensor.dims.reduce(1) { $0 * Int($1) }
        }
    }
}
