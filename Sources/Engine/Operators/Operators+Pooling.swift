internal import ONNX
internal import Torch

private let averagePool2d = Operation("aten::avg_pool2d")
private let averagePool3d = Operation("aten::avg_pool3d")
private let convolution = Operation("aten::convolution")

extension Operators {
    /// Pooling over windows and over the whole image.
    nonisolated(unsafe) static let pooling = OperatorFamily(
        [
            "MaxPool": maxPool,
            "MaxUnpool": maxUnpool,
            "AveragePool": averagePool,
            "LpPool": lpPool,
            "GlobalAveragePool": { context in
                { inputs in
                    let x = try context.required(inputs, 0)
                    return [try x.averaged(over: spatialDimensions(x, context), keeping: true)]
                }
            },
            "GlobalMaxPool": { context in
                { inputs in
                    let x = try context.required(inputs, 0)
                    return [try x.maxima(over: spatialDimensions(x, context), keeping: true)]
                }
            },
            "GlobalLpPool": { context in
                let exponent = Double(try positive("p", in: context))
                return { inputs in
                    let x = try context.required(inputs, 0)
                    let sum = try x.magnitudes().raised(to: exponent).summed(
                        over: spatialDimensions(x, context), keeping: true)
                    return [try sum.raised(to: 1 / exponent)]
                }
            },
            "MaxRoiPool": maxRoiPool,
            "RoiAlign": roiAlign,
        ],
        traits: [
            "GlobalAveragePool": .init(since: 1),
            "GlobalMaxPool": .init(since: 1),
        ])

    /// AveragePool over windows of X (N, C, D1…). What hangs over the padding with `ceil_mode` never counts.
    private static func averagePool(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let countsPadding = try context.flag("count_include_pad")
        let kernel = try requiredKernel(window, context)
        return { inputs in
            let x = try context.required(inputs, 0)
            let place = try window.placed(over: spatialShape(x, context), kernel: kernel)
            if place.begin == place.end, place.dilations.allSatisfy({ $0 == 1 }), place.fitsPadding {
                return [
                    try place.average(
                        x, padding: place.begin, hangsOver: place.overhangs, countsPadding: countsPadding)
                ]
            }
            let sums = try place.sums(of: x)
            return [try sums / place.counts(includingPadding: countsPadding)]
        }
    }

    /// LpPool over windows of X (N, C, D1…): the p-norm of every window.
    private static func lpPool(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let exponent = Double(try positive("p", in: context))
        let kernel = try requiredKernel(window, context)
        return { inputs in
            let x = try context.required(inputs, 0)
            let place = try window.placed(over: spatialShape(x, context), kernel: kernel)
            return [try place.sums(of: x.magnitudes().raised(to: exponent)).raised(to: 1 / exponent)]
        }
    }

    /// The kernel's size, which poolings need from the attribute.
    static func requiredKernel(_ window: SpatialWindow, _ context: OperatorContext) throws -> [Int] {
        guard let kernel = window.kernel else { throw context.error("attribute kernel_shape is missing") }
        guard (1...3).contains(kernel.count) else {
            throw context.unsupported("over \(kernel.count) spatial dimensions")
        }
        return kernel
    }

    /// The sizes of the spatial dimensions of `x`.
    static func spatialShape(_ x: Tensor, _ context: OperatorContext) throws -> [Int] {
        guard x.rank >= 3 else {
            throw context.error("an input of shape \(x.shape) has no spatial dimensions")
        }
        return Array(x.shape.dropFirst(2))
    }

    private static func spatialDimensions(_ x: Tensor, _ context: OperatorContext) throws -> [Int] {
        guard x.rank >= 2 else { throw context.error("an input of shape \(x.shape) has no channels") }
        return Array(2..<x.rank)
    }

    private static func positive(_ name: String, in context: OperatorContext) throws -> Int {
        let number = try context.node.int(name, default: 2)
        guard number > 0 else { throw context.error("attribute \(name) is \(number); it must be positive") }
        return number
    }
}

extension WindowPlacement {
    /// Whether libtorch takes this much padding before: at most half a kernel.
    var fitsPadding: Bool { zip(begin, kernel).allSatisfy { $0 <= $1 / 2 } }

    /// Means over windows without dilation, by libtorch's own pooling.
    func average(
        _ x: Tensor, padding: [Int], hangsOver: Bool, countsPadding: Bool
    ) throws(TorchError) -> Tensor {
        switch kernel.count {
        case 1:
            return try averagePool2d(
                .tensor(x.unsqueezed(2)), .ints([1] + kernel), .ints([1] + strides), .ints([0] + padding),
                .bool(hangsOver), .bool(countsPadding)
            ).squeezed(2)
        case 2:
            return try averagePool2d(
                .tensor(x), .ints(kernel), .ints(strides), .ints(padding), .bool(hangsOver),
                .bool(countsPadding))
        default:
            return try averagePool3d(
                .tensor(x), .ints(kernel), .ints(strides), .ints(padding), .bool(hangsOver),
                .bool(countsPadding))
        }
    }

    /// The sum of every window, padding being 0.
    func sums(of x: Tensor) throws(TorchError) -> Tensor {
        let padded = try x.padded(begin: begin, end: reach)
        let zeros = kernel.map { _ in 0 }
        if dilations.allSatisfy({ $0 == 1 }) {
            return try average(padded, padding: zeros, hangsOver: false, countsPadding: true)
                * Double(kernelCount)
        }
        let planes = try padded.reshaped([padded.shape[0] * padded.shape[1], 1] + padded.shape.dropFirst(2))
        let ones = try Tensor.filled(1, shape: [1, 1] + kernel, type: x.scalarType)
        return try convolution(
            .tensor(planes), .tensor(ones), .none, .ints(strides), .ints(zeros), .ints(dilations), false,
            .ints(zeros),
            1
        ).reshaped(Array(x.shape[..<2]) + output)
    }

    /// The number of cells of every window that lie on the input (or its padding), (1, 1, output…).
    func counts(includingPadding: Bool) throws(TorchError) -> Tensor {
        var counts: [Float] = [1]
        for axis in kernel.indices {
            let low = includingPadding ? -begin[axis] : 0
            let high = input[axis] + (includingPadding ? end[axis] : 0)
            let along = (0..<output[axis]).map { index in
                let start = index * strides[axis] - begin[axis]
                return Float(
                    (0..<kernel[axis]).count { (low..<max(low, high)).contains(start + $0 * dilations[axis]) }
                )
            }
            counts = counts.flatMap { outer in along.map { outer * $0 } }
        }
        return try Tensor(counts, shape: [1, 1] + output)
    }
}
