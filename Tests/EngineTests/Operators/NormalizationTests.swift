import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct NormalizationTests {
    @Test func scalesMayBroadcastInLayerNormalization() throws {
        // ONNX Runtime's outputs.
        let y = try OneNode(operation: "LayerNormalization", outputs: 1)(
            Tensor([1, 2, 4, 3, 3, 9] as [Float], shape: [2, 3]), Tensor([2] as [Float]))
        #expect(try isClose(y[0], [-2.138083, -0.53452075, 2.6726038, -1.4142127, -1.4142127, 2.8284254]))
    }

    @Test func groupsHaveOneScalePerChannelSinceOpset21() throws {
        // ONNX Runtime's outputs.
        let node = OneNode(
            operation: "GroupNormalization", version: 21,
            attributes: [AttributeProto(name: "num_groups", int: 2)])
        let y = try node(
            counted(0..<8, shape: [1, 4, 2]), Tensor([1, 2, 3, 4] as [Float]),
            Tensor([0, 0, 1, 1] as [Float]))
        #expect(
            try isClose(
                y[0],
                [
                    -1.3416355, -0.44721183, 0.8944236, 2.6832709, -3.0249062, -0.34163547, 2.7888474,
                    6.366542,
                ]))
    }

    @Test func trainingModeGivesTheNewStatistics() throws {
        // NumPy: the population mean 2.5 and variance 1.25 of 1...4, mixed with 0 and 1 at momentum 0.75.
        let attributes = [
            AttributeProto(name: "training_mode", int: 1), AttributeProto(name: "momentum", float: 0.75),
        ]
        let one = try Tensor([1] as [Float])
        let zero = try Tensor([0] as [Float])
        let y = try OneNode(operation: "BatchNormalization", attributes: attributes, outputs: 3)(
            counted(1..<5, shape: [2, 1, 2]), one, zero, zero, one)
        #expect(try isClose(y[0], [-1.3416354, -0.4472118, 0.4472118, 1.3416354]))
        #expect(try isClose(y[1], [0.625]))
        #expect(try isClose(y[2], [1.0625]))
    }

    @Test func aVectorOfZerosStaysZero() throws {
        let y = try OneNode(operation: "LpNormalization")(Tensor([3, 4, 0, 0] as [Float], shape: [2, 2]))
        #expect(try isClose(y[0], [0.6, 0.8, 0, 0]))
    }

    @Test func channelsMustFitTheGroups() throws {
        let node = OneNode(
            operation: "GroupNormalization", version: 21,
            attributes: [AttributeProto(name: "num_groups", int: 3)])
        let scale = try Tensor([1, 1, 1, 1] as [Float])
        let error = #expect(throws: EngineError.self) {
            try node(counted(0..<8, shape: [1, 4, 2]), scale, scale)
        }
        #expect(error?.description.contains("3 groups") == true)
    }
}
