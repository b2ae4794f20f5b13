import ONNX
import Testing

@testable import ComputationGraph

@Suite("Operators of sets 22 to 28") struct NewOperatorTests {
    private func flops(_ operation: String, _ inputs: [[Int]?], _ output: [Int], heads: Int? = nil) -> Int {
        let attributes = heads.map { [AttributeProto(name: "q_num_heads", int: $0)] } ?? []
        return FloatingPointOperations(
            node: NodeProto(operation, inputs: [], outputs: [], attributes: attributes), inputs: inputs,
            output: output
        ).count
    }

    @Test("attention counts both products and the softmax, over past keys too")
    func attention() {
        // By hand: 2 samples, 4 heads, 3 queries, 5 past and 3 new keys, heads of 6 and values of 7 numbers:
        // 2·2·4·3·8·(6 + 7) for the products, 3·2·4·3·8 for the softmax.
        #expect(
            flops(
                "Attention",
                [[2, 4, 3, 6], [2, 2, 3, 6], [2, 2, 3, 7], nil, [2, 2, 5, 6], [2, 2, 5, 7]],
                [2, 4, 3, 7]) == 4992 + 576)
        #expect(
            flops("Attention", [[2, 3, 24], [2, 8, 12], [2, 8, 14]], [2, 3, 28], heads: 4) == 4992 + 576)
    }

    @Test("zeros pass where the operator's definition says so")
    func zeros() throws {
        // RotaryEmbedding turns pairs; a norm without epsilon is 0/0; a past cache is averaged with zero values.
        let cases: [(NodeProto, slot: Int, Bool)] = [
            (NodeProto("Swish", inputs: ["x"], outputs: ["y"]), 0, true),
            (NodeProto("SwiGLU", inputs: ["x", "x"], outputs: ["y"]), 1, true),
            (NodeProto("RotaryEmbedding", inputs: ["x", "x", "x"], outputs: ["y"]), 0, true),
            (NodeProto("RMSNormalization", inputs: ["x", "x"], outputs: ["y"]), 0, true),
            (
                NodeProto(
                    "RMSNormalization", inputs: ["x", "x"], outputs: ["y"],
                    attributes: [AttributeProto(name: "epsilon", float: 0)]), 0, false
            ),
            (NodeProto("Attention", inputs: ["x", "x", "x"], outputs: ["y"]), 2, true),
            (NodeProto("Attention", inputs: ["x", "x", "x"], outputs: ["y"]), 0, false),
            (NodeProto("Attention", inputs: ["x", "x", "x", "", "x", "x"], outputs: ["y"]), 2, false),
        ]
        for (node, slot, expected) in cases {
            var model = ModelProto()
            model.irVersion = 10
            model.opsetImport = [OperatorSetIdProto(domain: "", version: 28)]
            model.graph.input = [ValueInfoProto(name: "x", .float32, shape: [1, 1, 2, 2])]
            model.graph.output = [ValueInfoProto(name: "y", .float32, shape: nil)]
            model.graph.node = [node]
            let graph = try Graph(ModelFile(unchecked: model))
            let classes = EquivalenceClasses(of: graph)
            #expect(
                classes.preservesZeros(graph.vertices[0], slot: slot) == expected, "\(node.opType) \(slot)")
        }
    }
}
