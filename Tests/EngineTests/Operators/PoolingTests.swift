import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct PoolingTests {
    private let pair = [
        AttributeProto(name: "kernel_shape", ints: [2, 2]), AttributeProto(name: "strides", ints: [2, 2]),
    ]

    @Test func maximaComeWithTheirPlaces() throws {
        // ONNX's specification of MaxPool, example maxpool_with_argmax_2d_precomputed_strides.
        let columns = AttributeProto(name: "storage_order", int: 1)
        let y = try OneNode(operation: "MaxPool", attributes: pair + [columns], outputs: 2)(
            counted(1..<26, shape: [1, 1, 5, 5]))
        #expect(try first(y) == [7, 9, 17, 19] as [Float])
        #expect(try y[1].elements(as: Int.self) == [6, 16, 8, 18])
    }

    @Test func wholeNumbersStayWhole() throws {
        let y = try OneNode(operation: "MaxPool", attributes: pair)(
            Tensor([1, 250, 3, 4] as [UInt8], shape: [1, 1, 2, 2]))
        #expect(try first(y) == [250] as [UInt8])
    }

    @Test func ceilModeAddsAWindowThatHangsOver() throws {
        // ONNX's specification of MaxPool, example maxpool_2d_ceil.
        let attributes = [
            AttributeProto(name: "kernel_shape", ints: [3, 3]),
            AttributeProto(name: "strides", ints: [2, 2]),
            AttributeProto(name: "ceil_mode", int: 1),
        ]
        let y = try OneNode(operation: "MaxPool", attributes: attributes)(
            counted(1..<17, shape: [1, 1, 4, 4]))
        #expect(try first(y) == [11, 12, 15, 16] as [Float])
    }

    @Test(arguments: [0, 1])
    func whatHangsOverThePaddingIsNotCounted(includesPadding: Int) throws {
        // ONNX Runtime's outputs.
        let attributes = [
            AttributeProto(name: "kernel_shape", ints: [2]), AttributeProto(name: "strides", ints: [2]),
            AttributeProto(name: "ceil_mode", int: 1),
            AttributeProto(name: "count_include_pad", int: includesPadding),
        ]
        let y = try OneNode(operation: "AveragePool", attributes: attributes)(
            counted(1..<6, shape: [1, 1, 5]))
        #expect(try first(y) == [1.5, 3.5, 5] as [Float])
    }

    @Test func regionsAreCheckedAgainstTheBatch() throws {
        let attributes = [AttributeProto(name: "output_height", int: 2)]
        let error = #expect(throws: EngineError.self) {
            try OneNode(operation: "RoiAlign", attributes: attributes)(
                counted(0..<16, shape: [1, 1, 4, 4]), Tensor([0, 0, 2, 2] as [Float], shape: [1, 4]),
                Tensor([3]))
        }
        #expect(error?.description.contains("image 3 of a batch of 1") == true)
    }
}
