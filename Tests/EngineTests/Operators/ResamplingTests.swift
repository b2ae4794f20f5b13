import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct ResamplingTests {
    private func square() throws -> Tensor { try Tensor([1, 2, 3, 4] as [Float], shape: [1, 1, 2, 2]) }
    private let double: [Float] = [1, 1, 2, 2]

    @Test func linearCornersStayCorners() throws {
        // ONNX's specification of Resize, example resize_upsample_scales_linear_align_corners.
        let attributes = [
            AttributeProto(name: "mode", string: "linear"),
            AttributeProto(name: "coordinate_transformation_mode", string: "align_corners"),
        ]
        let y = try OneNode(operation: "Resize", attributes: attributes, constants: [2])(
            square(), nil, Tensor(double))
        let third: Float = 1 / 3
        let rows = [Float(0), 1, 2, 3].flatMap { row in
            [Float(0), 1, 2, 3].map { column in 1 + row * 2 * third + column * third }
        }
        #expect(try isClose(y[0], rows))
    }

    @Test func cubicMayLeaveOutWhatLiesOutside() throws {
        // ONNX's specification of Resize, example resize_upsample_scales_cubic_A_n0p5_exclude_outside, first row.
        let attributes = [
            AttributeProto(name: "mode", string: "cubic"), AttributeProto(name: "cubic_coeff_a", float: -0.5),
            AttributeProto(name: "exclude_outside", int: 1),
        ]
        let y = try OneNode(operation: "Resize", attributes: attributes)(
            counted(1..<17, shape: [1, 1, 4, 4]), nil, Tensor(double))
        let row: [Float] = [
            0.55882353, 0.81494204, 1.35698249, 1.89705882, 2.39705882, 2.93713516, 3.47917561, 3.73529412,
        ]
        #expect(try isClose(y[0].narrowed(2, from: 0, length: 1), row))
    }

    @Test func sizesMayKeepTheAspectRatio() throws {
        // ONNX's specification of Resize: scale = min(sizes / shape), sizes rounded half up.
        let attributes = [
            AttributeProto(name: "axes", ints: [2, 3]),
            AttributeProto(name: "keep_aspect_ratio_policy", string: "not_larger"),
        ]
        let y = try OneNode(operation: "Resize", version: 19, attributes: attributes)(
            square(), nil, nil, Tensor([7, 8]))
        #expect(y[0].shape == [1, 1, 7, 7])
    }

    @Test func everyCopyPassesItsGradientBack() throws {
        // Each element is copied four times.
        try TorchRuntime.withGradients {
            let x = try square()
            try x.requireGradient()
            let y = try OneNode(operation: "Resize")(x, nil, Tensor(double))[0]
            let ones = try Tensor([Float](repeating: 1, count: 16), shape: y.shape)
            let gradient = try Tensor.gradients(of: [y], seeds: [ones], withRespectTo: [x])[0]
            #expect(try #require(gradient).elements(as: Float.self) == [4, 4, 4, 4])
        }
    }

    @Test func anUnknownModeIsAnError() throws {
        let node = OneNode(operation: "Resize", attributes: [AttributeProto(name: "mode", string: "area")])
        let error = #expect(throws: EngineError.self) { try node(square(), nil, Tensor(double)) }
        #expect(error?.description.contains("mode is 'area'") == true)
    }

    @Test func anOddPixelOfACropGoesFromTheEnd() throws {
        // NumPy: np.arange(5)[1:3].
        let y = try OneNode(operation: "CenterCropPad", version: 18)(counted(0..<5, shape: [5]), Tensor([2]))
        #expect(try first(y) == [1, 2] as [Float])
    }
}
