internal import Torch

private let nearest2d = Operation("aten::upsample_nearest2d")
private let bilinear2d = Operation("aten::upsample_bilinear2d")
private let bicubic2d = Operation("aten::upsample_bicubic2d")

extension Operators {
    /// Changing the size of images, and sampling them at given places.
    nonisolated(unsafe) static let resampling: OperatorFamily = [
        "Resize": resize,
        "Upsample": resize,
        "GridSample": gridSample,
        "AffineGrid": affineGrid,
        "CenterCropPad": centerCropPad,
    ]

    /// Resize (X, roi, scales, sizes) since opset 11, (X, scales) before; Upsample (X, scales).
    private static func resize(_ context: OperatorContext) throws -> Kernel {
        let settings = try ResizeSettings(context)
        // The weights follow from the shape alone, which rarely changes between blocks.
        var last: (shape: [Int], scales: [Double]?, sizes: [Int]?, region: [Double]?, resampling: Resampling)?
        return { inputs in
            let x = try context.required(inputs, 0)
            let (scales, sizes, region) = try settings.read(inputs)
            if let last, last.shape == x.shape, last.scales == scales, last.sizes == sizes,
                last.region == region
            {
                return [try last.resampling(x)]
            }
            let axes = try settings.axes(of: x.shape, scales: scales, sizes: sizes, region: region)
            let resampling = try Resampling(axes, settings)
            last = (x.shape, scales, sizes, region, resampling)
            return [try resampling(x)]
        }
    }
}

/// The resampling of one shape, with all weights worked out.
private struct Resampling {
    private enum Step {
        /// Elements of an axis copied by index.
        case copy(axis: Int, indices: Tensor)
        /// An axis multiplied by a matrix (output, input), stored transposed.
        case mix(axis: Int, matrix: Tensor)
    }

    private let axes: [ResizeAxis]
    private let settings: ResizeSettings
    private var steps: [Step] = []
    /// Where the extrapolation value stands, broadcast over the output.
    private var outside: Tensor?

    init(_ axes: [ResizeAxis], _ settings: ResizeSettings) throws {
        self.axes = axes
        self.settings = settings
        for (axis, plan) in axes.enumerated() where !plan.isIdentity {
            guard let filter = settings.filter else {
                steps.append(.copy(axis: axis, indices: try Tensor(plan.nearest(settings.rounding))))
                continue
            }
            let weights = plan.weights(
                filter, antialias: settings.antialias, excludesOutside: settings.excludesOutside)
            let matrix = try Tensor(weights, shape: [plan.output, plan.input]).transposed(0, 1)
            steps.append(.mix(axis: axis, matrix: matrix))
        }
        for (axis, plan) in axes.enumerated() where plan.outside.contains(true) {
            let flags = try Tensor(plan.outside).alongDimension(axis, rank: axes.count)
            outside = try outside.map { try logicalOr(.tensor($0), .tensor(flags)) } ?? flags
        }
    }

    func callAsFunction(_ given: Tensor) throws -> Tensor {
        let floating = settings.filter == nil || given.scalarType.isFloatingPoint
        let x = floating ? given : try given.converted(to: .float32)
        if let fast = try upsampled(x) { return try fast.converted(to: given.scalarType) }
        var result = x
        for step in steps {
            switch step {
            case .copy(let axis, let indices): result = try result.gathering(axis, indices)
            case .mix(let axis, let matrix):
                let lastAxis = axes.count - 1
                result =
                    axis == lastAxis
                    ? try result.matrixProduct(matrix)
                    : try result.transposed(axis, lastAxis).matrixProduct(matrix).transposed(axis, lastAxis)
            }
        }
        if let outside {
            result = try outside.choosing(
                Tensor.filled(settings.extrapolation, shape: [], type: result.scalarType), else: result)
        }
        return try result.converted(to: given.scalarType)
    }

    /// The result of libtorch's own resampling, where that computes the same function; `nil` elsewhere.
    private func upsampled(_ x: Tensor) throws -> Tensor? {
        guard x.rank == 4, x.scalarType == .float32, x.count > 0, axes[0].isIdentity, axes[1].isIdentity,
            outside == nil, !settings.antialias, !settings.excludesOutside
        else { return nil }
        let spatial = Array(axes[2...])
        let sizes = Argument.ints(spatial.map(\.output))
        let scales = spatial.map { Argument.double($0.scale) }
        guard let filter = settings.filter else {
            // libtorch rounds i · (1 / scale) down in float32; its sizes follow from the scale alone.
            let same = spatial.allSatisfy { plan in
                let step = Float(1 / plan.scale)
                return plan.nearest(settings.rounding)
                    == (0..<plan.output).map { min(Int((Float($0) * step).rounded(.down)), plan.input - 1) }
            }
            return same ? try nearest2d(.tensor(x), sizes, scales[0], scales[1]) : nil
        }
        let corners = spatial.allSatisfy {
            $0.coordinates == .alignCorners
                && (!$0.spansFraction || $0.scale * Double($0.input) == Double($0.output))
        }
        let centres = spatial.allSatisfy {
            $0.coordinates == .halfPixel || ($0.coordinates == .pytorchHalfPixel && $0.output > 1)
        }
        guard corners || centres else { return nil }
        switch filter {
        case .linear: return try bilinear2d(.tensor(x), sizes, .bool(corners), scales[0], scales[1])
        case .cubic(-0.75): return try bicubic2d(.tensor(x), sizes, .bool(corners), scales[0], scales[1])
        case .cubic: return nil
        }
    }
}

private let logicalOr = Operation("aten::logical_or")
