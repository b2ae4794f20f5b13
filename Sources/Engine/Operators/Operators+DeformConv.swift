internal import ONNX
internal import Torch

private let sample = Operation("aten::grid_sampler_2d")
private let convolution = Operation("aten::convolution")

extension Operators {
    /// DeformConv: X (N, C, H, W), W (M, C/group, kh, kw), offset (N, groups·kh·kw·2, oh, ow), optional B (M), optional
    /// mask (N, groups·kh·kw, oh, ow).
    ///
    /// Every cell of the kernel is sampled for the whole image at once; the samples, laid out as an image of
    /// (oh·kh, ow·kw), then go through an ordinary convolution with stride (kh, kw).
    /// Dai et al., "Deformable Convolutional Networks", 2017, equations 1 to 3.
    static func deformConv(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let groups = try window.groups()
        let offsetGroups = try context.node.int("offset_group", default: 1)
        guard offsetGroups > 0 else { throw context.error("attribute offset_group is \(offsetGroups)") }
        return { inputs in
            let x = try context.required(inputs, 0)
            let weight = try context.required(inputs, 1)
            let offset = try context.required(inputs, 2)
            guard x.rank == 4, weight.rank == 4, offset.rank == 4 else {
                throw context.unsupported("over \(x.rank - 2) spatial dimensions")
            }
            let place = try window.placed(
                over: [x.shape[2], x.shape[3]], kernel: window.kernel(ofWeight: weight.shape))
            let (kh, kw) = (place.kernel[0], place.kernel[1])
            let (oh, ow) = (place.output[0], place.output[1])
            let batch = x.shape[0]
            guard offset.shape == [batch, offsetGroups * kh * kw * 2, oh, ow], x.shape[1] % offsetGroups == 0
            else {
                throw context.error("offsets of shape \(offset.shape) for an output of \(oh)x\(ow)")
            }
            // (N·groups, kh, kw, 2, oh, ow): absolute positions, rows then columns.
            let relative = try offset.reshaped([batch * offsetGroups, kh, kw, 2, oh, ow])
            let image = try x.reshaped([
                batch * offsetGroups, x.shape[1] / offsetGroups, x.shape[2], x.shape[3],
            ])
            let rows = try positions(relative, axis: 0, place, in: x)
            let columns = try positions(relative, axis: 1, place, in: x)
            // (N·groups, oh, kh, ow, kw, 2), which is the grid of an image of (oh·kh, ow·kw).
            let grid = try Tensor.stacked([columns, rows], along: 5).permuted([0, 3, 1, 4, 2, 5])
                .reshaped([batch * offsetGroups, oh * kh, ow * kw, 2])
            var samples = try sample(.tensor(image), .tensor(grid), 0, 0, .bool(scalesToCorners(x)))
            if let mask = context.optional(inputs, 4) {
                let factors = try mask.reshaped([batch * offsetGroups, kh, kw, oh, ow]).permuted([
                    0, 3, 1, 4, 2,
                ])
                .reshaped([batch * offsetGroups, 1, oh * kh, ow * kw])
                samples = try samples * factors
            }
            let channels = try samples.reshaped([batch, x.shape[1], oh * kh, ow * kw])
            return [
                try convolution(
                    .tensor(channels), .tensor(weight), .optional(context.optional(inputs, 3)),
                    .ints([kh, kw]),
                    .ints([0, 0]), .ints([1, 1]), false, .ints([0, 0]), .int(groups))
            ]
        }
    }

    /// Whether [-1, 1] means the centres of the corner elements, which whole positions survive exactly; a single
    /// element has no such scale, and [-1, 1] means its edges.
    private static func scalesToCorners(_ x: Tensor) -> Bool { x.shape[2] > 1 && x.shape[3] > 1 }

    /// The sampling positions along one axis, (N·groups, kh, kw, oh, ow), scaled to [-1, 1].
    private static func positions(
        _ relative: Tensor, axis: Int, _ place: WindowPlacement, in x: Tensor
    ) throws(TorchError) -> Tensor {
        let cells = (0..<place.kernel[axis]).map { Float($0 * place.dilations[axis]) }
        let starts = (0..<place.output[axis]).map { Float($0 * place.strides[axis] - place.begin[axis]) }
        let absolute = try relative.selecting(3, at: axis) + Tensor(cells).alongDimension(1 + axis, rank: 5)
        let positions = try absolute + Tensor(starts).alongDimension(3 + axis, rank: 5)
        let size = Double(x.shape[2 + axis])
        return scalesToCorners(x)
            ? try positions * (2 / (size - 1)) + -1 : try (positions + 0.5) * (2 / size) + -1
    }
}
