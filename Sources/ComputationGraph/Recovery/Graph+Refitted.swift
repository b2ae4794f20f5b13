internal import FoundationEssentials
internal import ONNX

extension Graph {
    /// The model with other weights, node by node the same: vertices keep their numbers, and values their names.
    ///
    /// - Parameters:
    ///   - weights: by value, the elements of initialisers in C order.
    ///   - biases: the biases of layers that have none, one number per channel; a product with a matrix gets an addition, which
    ///     comes last in the file's order.
    /// - Throws: `GraphError` for weights of a type that cannot be written.
    public func refitted(_ weights: [Int: [Float]], biases: [(layer: LinearMap, elements: [Float])]) throws
        -> Graph
    {
        var proto = model.model
        let places = Dictionary(
            proto.graph.initializer.enumerated().map { ($1.name, $0) },
            uniquingKeysWith: { first, _ in first })
        for (value, elements) in weights {
            guard let old = values[value].constant, let place = places[values[value].name] else {
                throw GraphError.notWritable(reason: "'\(values[value].name)' is not an initializer")
            }
            let constant = Constant(old.elementType, shape: old.shape, elements.map { Double($0) })
            proto.graph.initializer[place] = TensorProto(
                name: values[value].name, try constant.tensorData())
        }
        var names = UniqueNames(proto.graph)
        for (layer, elements) in biases {
            let node = proto.graph.node[layer.vertex]
            let type = values[layer.weight].elementType
            let name = names("\(vertices[layer.vertex].name)/bias")
            let shape =
                [elements.count]
                + [Int](repeating: 1, count: node.facts.linear == .product ? layer.channelAxisFromEnd : 0)
            var numbers = elements.map { Double($0) }
            if case .gemm(_, let beta, _) = layer.form { numbers = numbers.map { $0 / Double(beta) } }
            proto.graph.initializer.append(
                TensorProto(name: name, try Constant(type, shape: shape, numbers).tensorData()))
            guard node.facts.linear == .product else {
                proto.graph.node[layer.vertex].input = Array(node.input.prefix(2)) + [name]
                continue
            }
            let result = node.output[0]
            let product = names("\(result)/product")
            proto.graph.node[layer.vertex].output[0] = product
            proto.graph.node.append(
                .addition(
                    [product, name], output: result,
                    name: names("\(vertices[layer.vertex].name)/addition")))
        }
        return try Graph(ModelFile(unchecked: proto, name: model.path))
    }
}
