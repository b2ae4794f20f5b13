internal import FoundationEssentials

extension ModelFile {
    /// The same model with its weights as initialisers also where it has them as `Constant` nodes, as exporters of PaddlePaddle
    /// write them.
    ///
    /// Nodes keep their numbers: such a node is left with a 0 that nothing reads. Weights are tensors of several floating-point
    /// numbers; single ones, which exporters write in the same way, are none.
    public func withWeightsAsInitializers() -> ModelFile {
        var result = self
        var taken = Set(model.graph.node.flatMap(\.output))
        let outputs = Set(model.graph.output.map(\.name))
        for (place, node) in model.graph.node.enumerated() {
            guard node.opType == "Constant", canonicalDomain(node.domain).isEmpty, node.attribute.count == 1,
                node.attribute[0].name == "value", node.attribute[0].hasT, node.output.count == 1,
                !outputs.contains(node.output[0])
            else { continue }
            var tensor = node.attribute[0].t
            guard tensor.dims.reduce(1, { $0 &* $1 }) > 1,
                let type = ElementType(rawValue: Int(tensor.dataType)), type.isFloatingPoint
            else { continue }
            tensor.name = node.output[0]
            result.model.graph.initializer.append(tensor)
            var name = "\(tensor.name)/unused"
            while !taken.insert(name).inserted { name += "'" }
            var zero = TensorProto()
            zero.dataType = tensor.dataType
            zero.rawData = Data(count: type.byteSize)
            result.model.graph.node[place].output = [name]
            result.model.graph.node[place].attribute = [AttributeProto(name: "value", tensor: zero)]
        }
        return result
    }
}
