import ONNX
import Testing
import Torch

@testable import Engine

/// Two query heads that share one of keys; the expected numbers are ONNX Runtime's.
@Suite struct AttentionTests {
    private func queries() throws -> Tensor {
        try Tensor((0..<8).map { Float($0) / 4 }, shape: [1, 2, 2, 2])
    }
    private func keys() throws -> Tensor { try Tensor([-0.5, 0, 0.5, 1] as [Float], shape: [1, 1, 2, 2]) }
    private func values() throws -> Tensor { try Tensor([1, 2, 3, 5] as [Float], shape: [1, 1, 2, 2]) }

    @Test func aQueryThatMaySeeNoKeyGivesZeros() throws {
        let mask = try Tensor([true, false, false, false], shape: [2, 2])
        let y = try OneNode(operation: "Attention", version: 23)(queries(), keys(), values(), mask)
        #expect(try isClose(y[0], [1, 2, 0, 0, 1, 2, 0, 0]))
    }

    @Test func aCapOnLogitsComesBeforeTheCausalMask() throws {
        let attributes = [
            AttributeProto(name: "is_causal", int: 1), AttributeProto(name: "softcap", float: 0.5),
        ]
        let y = try OneNode(operation: "Attention", version: 23, attributes: attributes)(
            queries(), keys(), values())
        #expect(
            try isClose(
                y[0], [1, 2, 2.2976844, 3.9465268, 1, 2, 2.4186509, 4.1279764]))
    }

    @Test(arguments: [
        (0, [1, 2, 2.4152527, 4.122879, 1, 2, 2.8174386, 4.7261577] as [Float]),
        (1, [-0.0441654, 0.43375194, 1.2136638, 2.3204956, -0.5186741, -0.2780112, 1.5629555, 2.8444333]),
    ])
    func aCacheOfAnyLengthComesBeforeTheKeys(past: Int, expected: [Float]) throws {
        let node = OneNode(
            operation: "Attention", version: 23, attributes: [AttributeProto(name: "is_causal", int: 1)],
            outputs: 3)
        let y = try node(
            queries(), keys(), values(), nil, Tensor.filled(0.5, shape: [1, 1, past, 2]),
            Tensor.filled(-1, shape: [1, 1, past, 2]))
        #expect(try isClose(y[0], expected))
        #expect(y[1].shape == [1, 1, past + 2, 2])
    }

    @Test func headsThatDoNotShareAreNamed() throws {
        let error = #expect(throws: EngineError.self) {
            try OneNode(operation: "Attention", version: 23)(
                queries(), Tensor.filled(0, shape: [1, 3, 2, 2]), Tensor.filled(0, shape: [1, 3, 2, 2]))
        }
        #expect(error?.description.contains("do not fit") == true)
        let flat = #expect(throws: EngineError.self) {
            let input = try Tensor.filled(0, shape: [1, 2, 4])
            return try OneNode(operation: "Attention", version: 23)(input, input, input)
        }
        #expect(flat?.description.contains("q_num_heads") == true)
    }
}
