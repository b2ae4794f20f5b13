import FoundationEssentials
import ONNX
import Testing

@Suite("Weights that are constant nodes")
struct ConstantWeightTests {
    private func tensor(_ type: ElementType, _ dims: [Int64], _ bytes: [UInt8]) -> TensorProto {
        var tensor = TensorProto()
        tensor.dataType = Int32(type.rawValue)
        tensor.dims = dims
        tensor.rawData = Data(bytes)
        return tensor
    }

    private func constant(_ output: String, _ tensor: TensorProto) -> NodeProto {
        NodeProto(
            "Constant", inputs: [], outputs: [output], name: "node of \(output)",
            attributes: [AttributeProto(name: "value", tensor: tensor)])
    }

    @Test("become initialisers, and no node changes its number; other constants stay")
    func becomeInitialisers() throws {
        var model = ModelProto()
        let bytes = [UInt8](1...16)
        let kept = [
            constant("shape", tensor(.int64, [2], bytes)),
            constant("number", tensor(.float32, [], [0, 0, 128, 63])),
            constant("result", tensor(.float32, [2], [0, 0, 0, 64, 0, 0, 0, 64])),
            constant("single", tensor(.float32, [1], [0, 0, 0, 64])),
            NodeProto("MatMul", inputs: ["x", "weight"], outputs: ["y"], name: "product"),
        ]
        model.graph.node =
            [
                constant("weight", tensor(.float32, [2, 2], bytes)),
                constant("half", tensor(.float16, [1, 2], [0, 60, 0, 64])),
            ]
            + kept
        model.graph.output = ["y", "result"].map { name in
            var port = ValueInfoProto()
            port.name = name
            return port
        }
        // A name that is taken is not used for what nothing reads.
        model.graph.node.append(
            NodeProto("Identity", inputs: ["y"], outputs: ["weight/unused"], name: "other"))
        let graph = ModelFile(unchecked: model).withWeightsAsInitializers().model.graph
        #expect(graph.initializer.map(\.name) == ["weight", "half"])
        #expect(graph.initializer[0].dims == [2, 2] && graph.initializer[0].rawData == Data(bytes))
        #expect(Array(graph.node[2..<7]) == kept)
        #expect(graph.node.map(\.name) == model.graph.node.map(\.name))
        let outputs = graph.node.flatMap(\.output)
        #expect(
            Set(outputs).count == outputs.count && !outputs.contains("weight") && !outputs.contains("half"))
        // What is left of them is small.
        for node in graph.node.prefix(2) { #expect(node.attribute[0].t.rawData.count <= 4) }
    }
}
