import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct ConvolutionTests {
    /// oneDNN's own kernel for this writes past its memory on processors with AVX2 alone.
    @Test(
        "kernels of one pixel with strides have a single-precision gradient of their weights",
        arguments: [3, 4, 5, 8, 13], [4, 7, 8])
    func stridedPixels(channels: Int, size: Int) throws {
        var random = Seeded(5)
        func numbers(_ count: Int) -> [Double] {
            (0..<count).map { _ in .random(in: -1...1, using: &random) }
        }
        let input = numbers(4 * channels * size * size)
        let weight = numbers(6 * channels)
        let node = OneNode(
            operation: "Conv", attributes: [AttributeProto(name: "strides", ints: [2, 2])], constants: [1])
        func gradient(isDouble: Bool) throws -> [Double] {
            func tensor(_ numbers: [Double], _ shape: [Int]) throws -> Tensor {
                try isDouble
                    ? Tensor(numbers, shape: shape)
                    : Tensor(numbers.map(Float.init), shape: shape).channelsLast()
            }
            let x = try tensor(input, [4, channels, size, size])
            let kernel = try tensor(weight, [6, channels, 1, 1])
            return try TorchRuntime.withGradients {
                try kernel.requireGradient()
                let output = try node(x, kernel)[0]
                let side = (size + 1) / 2
                #expect(output.shape == [4, 6, side, side])
                let seed = try tensor((0..<output.count).map { Double($0 % 7) - 3 }, output.shape)
                let found = try Tensor.gradients(of: [output], seeds: [seed], withRespectTo: [kernel])
                return try #require(found[0]).converted(to: .float64).elements(as: Double.self)
            }
        }
        // What was written past its memory is noticed when memory is given back.
        for _ in 0..<5 {
            let (single, double) = try (gradient(isDouble: false), gradient(isDouble: true))
            #expect(zip(single, double).allSatisfy { abs($0 - $1) < 1e-3 })
        }
    }

    @Test func padsOneSideMoreThanTheOther() throws {
        // ONNX's specification of Conv, example conv_with_strides_and_asymmetric_padding.
        let attributes = [
            AttributeProto(name: "pads", ints: [1, 0, 1, 0]), AttributeProto(name: "strides", ints: [2, 2]),
        ]
        let y = try OneNode(operation: "Conv", attributes: attributes)(
            counted(0..<35, shape: [1, 1, 7, 5]),
            Tensor([Float](repeating: 1, count: 9), shape: [1, 1, 3, 3]))
        #expect(y[0].shape == [1, 1, 4, 2])
        #expect(try first(y) == [21, 33, 99, 117, 189, 207, 171, 183] as [Float])
    }

    @Test(
        arguments: [
            ("SAME_UPPER", 4, [2, 13, 20, 130]), ("SAME_LOWER", 4, [13, 20, 130, 200]),
            ("NOTSET", 8, [1, 2, 13, 20, 130, 200, 300, 0]),
        ] as [(String, Int, [Float])])
    func transposedConvolutionsReachAWantedSize(padding: String, size: Int, expected: [Float]) throws {
        // ONNX Runtime's outputs.
        let attributes = [
            AttributeProto(name: "strides", ints: [2]), AttributeProto(name: "output_shape", ints: [size]),
            AttributeProto(name: "auto_pad", string: padding),
        ]
        let y = try OneNode(operation: "ConvTranspose", attributes: attributes)(
            Tensor([1, 10, 100] as [Float], shape: [1, 1, 3]),
            Tensor([1, 2, 3] as [Float], shape: [1, 1, 3]))
        #expect(try first(y) == expected)
    }

    @Test func positionsThatNoKernelReachesHoldTheBias() throws {
        // Row 3 of the test above, plus the bias everywhere.
        let attributes = [
            AttributeProto(name: "strides", ints: [2]), AttributeProto(name: "output_shape", ints: [9]),
        ]
        let y = try OneNode(operation: "ConvTranspose", attributes: attributes)(
            Tensor([1, 10, 100] as [Float], shape: [1, 1, 3]),
            Tensor([1, 2, 3] as [Float], shape: [1, 1, 3]),
            Tensor([5] as [Float]))
        #expect(try first(y) == [6, 7, 18, 25, 135, 205, 305, 5, 5] as [Float])
    }

    @Test func anUnknownPaddingIsAnErrorThatNamesTheNode() throws {
        let node = OneNode(operation: "Conv", attributes: [AttributeProto(name: "auto_pad", string: "SAME")])
        let error = #expect(throws: EngineError.self) {
            try node(Tensor([1] as [Float], shape: [1, 1, 1]), Tensor([1] as [Float], shape: [1, 1, 1]))
        }
        #expect(error?.description.contains("auto_pad is 'SAME'") == true)
    }

    @Test func fourSpatialDimensionsAreUnsupported() throws {
        let x = try Tensor([1] as [Float], shape: [1, 1, 1, 1, 1, 1])
        let error = #expect(throws: EngineError.self) { try OneNode(operation: "Conv")(x, x) }
        #expect(error?.isUnsupported == true)
    }
}
