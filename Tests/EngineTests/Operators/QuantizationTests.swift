import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct QuantizationTests {
    @Test func quantizingRoundsToEvenAndSaturates() throws {
        // ONNX's test_quantizelinear.
        let quantized = try OneNode(operation: "QuantizeLinear")(
            Tensor([0, 2, 3, 1000, -254, -1000] as [Float]), Tensor(scalar: Float(2)),
            Tensor(scalar: UInt8(128)))
        #expect(quantized[0].scalarType == .uint8)
        #expect(try first(quantized) == [128, 129, 130, 255, 1, 0] as [UInt8])
    }

    @Test func dequantizingSmallTypesDoesNotWrapAround() throws {
        // ONNX's test_dequantizelinear.
        let numbers = try OneNode(operation: "DequantizeLinear")(
            Tensor([0, 3, 128, 255] as [UInt8]), Tensor(scalar: Float(2)), Tensor(scalar: UInt8(128)))
        #expect(try first(numbers) == [-256, -250, 0, 254] as [Float])
    }

    @Test func theDataSetsItsOwnScale() throws {
        // ONNX's test_dynamicquantizelinear.
        let outputs = try OneNode(operation: "DynamicQuantizeLinear", outputs: 3)(
            Tensor([0, 2, -3, -2.5, 1.34, 0.5] as [Float]))
        #expect(try outputs[0].elements() == [153, 255, 0, 26, 221, 179] as [UInt8])
        #expect(abs(try outputs[1].item(as: Float.self) - 0.0196078438) < 1e-8)
        #expect(try outputs[2].item() == 153 as UInt8)
    }

    @Test func integerProductsSubtractTheZeroPoints() throws {
        // ONNX's test_matmulinteger.
        let product = try OneNode(operation: "MatMulInteger")(
            Tensor([11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0] as [UInt8], shape: [4, 3]),
            Tensor([1, 4, 2, 5, 3, 6] as [UInt8], shape: [3, 2]), Tensor([12] as [UInt8]),
            Tensor([0] as [UInt8]))
        #expect(product[0].scalarType == .int32)
        #expect(try first(product) == [-38, -83, -44, -98, -50, -113, -56, -128] as [Int32])
    }

    @Test func integerConvolutionPadsWithTheZeroPoint() throws {
        // ONNX's test_convinteger_with_padding.
        let node = OneNode(operation: "ConvInteger", attributes: [.init(name: "pads", ints: [1, 1, 1, 1])])
        let output = try node(
            Tensor([2, 3, 4, 5, 6, 7, 8, 9, 10] as [UInt8], shape: [1, 1, 3, 3]),
            Tensor([1, 1, 1, 1] as [UInt8], shape: [1, 1, 2, 2]), Tensor(scalar: UInt8(1)))
        #expect(try first(output) == [1, 3, 5, 3, 5, 12, 16, 9, 11, 24, 28, 15, 7, 15, 17, 9] as [Int32])
    }

    @Test func aBetterBoxSuppressesThoseItOverlaps() throws {
        // ONNX's test_nonmaxsuppression_suppress_by_IOU.
        let boxes = try Tensor(
            [
                0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, -0.1, 1, 0.9, 0, 10, 1, 11, 0, 10.1, 1, 11.1, 0, 100, 1, 101,
            ] as [Float], shape: [1, 6, 4])
        let scores = try Tensor([0.9, 0.75, 0.6, 0.95, 0.5, 0.3] as [Float], shape: [1, 1, 6])
        let kept = try OneNode(operation: "NonMaxSuppression")(
            boxes, scores, Tensor([3]), Tensor([0.5] as [Float]), Tensor([0] as [Float]))
        #expect(try first(kept) == [0, 0, 3, 0, 0, 0, 0, 0, 5])
    }
}
