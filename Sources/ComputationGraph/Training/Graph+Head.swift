public import ONNX

extension Graph {
    /// The model with a fresh last linear layer, for other classes: transfer learning.
    ///
    /// Its weights are drawn evenly from ±1/√n, n being the features that a class reads, and its biases are zeros.
    ///
    /// - Parameters:
    ///   - classes: how many classes the first output shall have; at least 2.
    ///   - random: 64 bits for each weight's number.
    /// - Throws: `GraphError.noHead` where the first output's classes are not those of one linear layer.
    public func replacingHead(classes: Int, random: (Int) -> UInt64) throws -> ModelFile {
        guard let output = outputs.first, let layer = head(of: output.value) else {
            throw GraphError.noHead(
                "its first output does not come from one linear layer that nothing else reads")
        }
        guard let weight = values[layer.weight].constant else {
            throw GraphError.noHead("its last layer's weights are not stored")
        }
        let (axis, features): (Int, Int)
        switch layer.form {
        case .convolution(groups: 1), .gemm(_, _, true):
            (axis, features) = (0, weight.shape.dropFirst().reduce(1, *))
        case .rightProduct where weight.shape.count == 2, .gemm(_, _, false):
            (axis, features) = (1, weight.shape[0])
        default: throw GraphError.noHead("its last layer is of another form")
        }
        var proto = model.model
        func replace(_ value: Int, _ shape: [Int], _ numbers: [Double]) throws {
            let name = values[value].name
            guard let place = proto.graph.initializer.firstIndex(where: { $0.name == name }),
                let type = values[value].constant?.elementType
            else { throw GraphError.noHead("'\(name)' is not an initializer") }
            proto.graph.initializer[place] = TensorProto(
                name: name, try Constant(type, shape: shape, numbers).tensorData())
        }
        var shape = weight.shape
        shape[axis] = classes
        let bound = 1 / Double(features).squareRoot()
        try replace(
            layer.weight, shape,
            (0..<shape.reduce(1, *)).map { bound * (Double(random($0) >> 11) / Double(1 << 52) - 1) })
        if let bias = layer.bias, let old = values[bias].constant {
            // Whatever its rank, it has one long axis.
            let long = old.shape.firstIndex { $0 > 1 } ?? old.shape.count - 1
            var shape = old.shape
            shape[long] = classes
            try replace(bias, shape, [Double](repeating: 0, count: classes))
        }
        // What the file says of sizes behind the layer is no longer so.
        proto.graph.valueInfo = []
        for index in proto.graph.output.indices where proto.graph.output[index].name == output.name {
            let old = output.shape
            let place = old.count - 1 - layer.channelAxisFromEnd
            if old.indices.contains(place) {
                proto.graph.output[index].type.tensorType.shape.dim[place].dimValue = Int64(classes)
            }
        }
        let file = ModelFile(unchecked: proto, name: model.path)
        try file.check()
        return file
    }

    /// The linear layer whose channels are an output's classes: behind it come only vertices with one operand that depends on data
    /// and without weights, such as a softmax, a pooling or a flattening.
    private func head(of output: Int) -> LinearMap? {
        let layers = Dictionary(
            LinearMaps(of: self).maps.map { ($0.output, $0) }, uniquingKeysWith: { first, _ in first })
        var value = output
        while layers[value] == nil {
            guard let producer = values[value].producer else { return nil }
            let vertex = vertices[producer]
            let data = vertex.inputs.compactMap { $0 }.filter { values[$0].dependsOnData }
            guard !vertex.facts.hasWeights, vertex.facts.normalisation == nil, data.count == 1,
                consumers[data[0]].count == 1
            else { return nil }
            value = data[0]
        }
        return layers[value]
    }
}
