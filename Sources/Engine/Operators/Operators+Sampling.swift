internal import ONNX
internal import Torch

private let sample2d = Operation("aten::grid_sampler_2d")
private let sample3d = Operation("aten::grid_sampler_3d")
private let round = Operation("aten::round")
private let affine = Operation("aten::affine_grid_generator")

extension Operators {
    /// GridSample: X (N, C, H, W) or (N, C, D, H, W) at the places that the grid (N, H', W', 2) or (N, D', H', W', 3)
    /// gives in [-1, 1]. Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.3.
    static func gridSample(_ context: OperatorContext) throws -> Kernel {
        enum Mode: String, CaseIterable { case linear, bilinear, nearest, cubic, bicubic }
        enum Padding: String, CaseIterable { case zeros, border, reflection }
        let mode = try context.choice("mode", default: context.version >= 20 ? Mode.linear : .bilinear)
        let padding = try context.choice("padding_mode", default: Padding.zeros)
        let alignsCorners = try context.flag("align_corners")
        let modeCode =
            switch mode {
            case .linear, .bilinear: 0
            case .nearest: 1
            case .cubic, .bicubic: 2
            }
        let paddingCode =
            switch padding {
            case .zeros: 0
            case .border: 1
            case .reflection: 2
            }
        return { inputs in
            let x = try context.required(inputs, 0)
            let grid = try context.required(inputs, 1)
            guard (4...5).contains(x.rank), grid.rank == x.rank else {
                throw context.unsupported("over \(x.rank - 2) spatial dimensions")
            }
            if x.rank == 5 && modeCode == 2 {
                throw context.unsupported("with mode 'cubic' over 3 spatial dimensions")
            }
            let sample = x.rank == 4 ? sample2d : sample3d
            // libtorch rounds halves away from zero over 3 dimensions; ONNX rounds them to the even side.
            let places =
                x.rank == 5 && modeCode == 1 ? try rounded(grid, over: x, alignsCorners: alignsCorners) : grid
            return [
                try sample(
                    .tensor(x), .tensor(places), .int(modeCode), .int(paddingCode), .bool(alignsCorners))
            ]
        }
    }

    /// The places of `grid` moved to the nearest element, halves to the even one.
    private static func rounded(_ grid: Tensor, over x: Tensor, alignsCorners: Bool) throws(TorchError)
        -> Tensor
    {
        let sizes = x.shape.dropFirst(2).reversed().map { Float(max($0, alignsCorners ? 2 : 1)) }
        let extent = try Tensor(alignsCorners ? sizes.map { $0 - 1 } : sizes)
        let shift = alignsCorners ? 0 : 0.5
        let positions = try (grid + 1) * extent * 0.5 + -shift
        return try (round(.tensor(positions)) + shift) * 2.0 / extent + -1
    }

    /// AffineGrid: the grid that transforms images of shape `size` by theta (N, 2, 3) or (N, 3, 4).
    static func affineGrid(_ context: OperatorContext) throws -> Kernel {
        let alignsCorners = try context.flag("align_corners")
        let size = try context.integers(in: 1)
        return { inputs in
            let theta = try context.required(inputs, 0)
            guard let shape = try size(inputs), (4...5).contains(shape.count), shape.allSatisfy({ $0 > 0 }),
                theta.shape == [shape[0], shape.count - 2, shape.count - 1]
            else { throw context.error("a transformation of shape \(theta.shape) does not fit the size") }
            return [try affine(.tensor(theta), .ints(shape), .bool(alignsCorners))]
        }
    }

    /// CenterCropPad: the middle of X, or X in the middle of zeros, so that the axes get the sizes of input 1.
    static func centerCropPad(_ context: OperatorContext) throws -> Kernel {
        let axes = try context.node.ints("axes", default: nil)
        let target = try context.integers(in: 1)
        return { inputs in
            let x = try context.required(inputs, 0)
            let dimensions =
                try axes.map { try $0.map { try context.axis($0, rank: x.rank) } } ?? Array(0..<x.rank)
            guard let sizes = try target(inputs), sizes.count == dimensions.count,
                sizes.allSatisfy({ $0 >= 0 })
            else {
                throw context.error("the target shape does not fit an input of shape \(x.shape)")
            }
            var begin = x.shape.map { _ in 0 }
            var end = begin
            for (axis, size) in zip(dimensions, sizes) {
                let missing = size - x.shape[axis]
                begin[axis] = missing / 2
                end[axis] = missing - missing / 2
            }
            return [try x.padded(begin: begin, end: end)]
        }
    }
}
