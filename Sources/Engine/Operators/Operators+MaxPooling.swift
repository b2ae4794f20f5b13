internal import Torch

private let maxPool2d = Operation("aten::max_pool2d")
private let maxPool3d = Operation("aten::max_pool3d")
private let maxPool2dWithIndices = Operation("aten::max_pool2d_with_indices")
private let maxPool3dWithIndices = Operation("aten::max_pool3d_with_indices")
private let divide = Operation("aten::div.Scalar_mode")
private let remainder = Operation("aten::remainder.Scalar")
private let scatter = Operation("aten::scatter.src")

extension Operators {
    /// MaxPool over windows of X (N, C, D1…), with the flat position of every maximum as an optional output.
    static func maxPool(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let columnMajor = try context.flag("storage_order")
        let kernel = try requiredKernel(window, context)
        let wantsIndices = context.wants(output: 1)
        return { inputs in
            let given = try context.required(inputs, 0)
            let x = given.scalarType == .float32 ? given : try given.converted(to: .float32)
            let place = try window.placed(over: spatialShape(x, context), kernel: kernel)
            let pool: MaxPooling
            if place.begin == place.end && place.fitsPadding {
                pool = MaxPooling(
                    place: place, image: x, padding: place.begin, hangsOver: place.overhangs,
                    origin: kernel.map { _ in 0 })
            } else {
                pool = MaxPooling(
                    place: place,
                    image: try x.padded(begin: place.begin, end: place.reach, value: -.infinity),
                    padding: kernel.map { _ in 0 }, hangsOver: false, origin: place.begin)
            }
            guard wantsIndices else { return [try pool.maxima().converted(to: given.scalarType), nil] }
            let (maxima, indices) = try pool.maximaWithIndices(shape: x.shape, columnMajor: columnMajor)
            return [try maxima.converted(to: given.scalarType), indices]
        }
    }

    /// MaxUnpool: X and the indices (N, C, d1…) that MaxPool gave, optionally the output's shape. What no index
    /// names is 0.
    static func maxUnpool(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let kernel = try requiredKernel(window, context)
        let outputShape = try context.integers(in: 2)
        return { inputs in
            let x = try context.required(inputs, 0)
            let indices = try context.required(inputs, 1)
            let (strides, _, begin, end) = try window.steps(kernel.count)
            guard try spatialShape(x, context).count == kernel.count, indices.shape == x.shape else {
                throw context.error("an input of shape \(x.shape) with indices of shape \(indices.shape)")
            }
            let inferred =
                Array(x.shape[..<2])
                + kernel.indices.map {
                    (x.shape[$0 + 2] - 1) * strides[$0] - begin[$0] - end[$0] + kernel[$0]
                }
            guard inferred.allSatisfy({ $0 >= 0 }) else {
                throw context.error("the output would have the shape \(inferred)")
            }
            let empty = try Tensor.filled(0, shape: [inferred.reduce(1, *)], type: x.scalarType)
            let filled = try scatter(
                .tensor(empty), 0, .tensor(indices.reshaped([-1])), .tensor(x.reshaped([-1])))
            let image = try filled.reshaped(inferred)
            guard let wanted = try outputShape(inputs) else { return [image] }
            guard wanted.count == inferred.count else {
                throw context.error("output_shape \(wanted) for an input of shape \(x.shape)")
            }
            return [
                try image.padded(begin: wanted.map { _ in 0 }, end: zip(wanted, inferred).map { $0 - $1 })
            ]
        }
    }
}

/// One max pooling by libtorch, 1-D as 2-D.
private struct MaxPooling {
    let place: WindowPlacement
    let image: Tensor
    /// Padding that libtorch adds.
    let padding: [Int]
    /// Whether a window reaches over that padding.
    let hangsOver: Bool
    /// Where the input lies in `image`.
    let origin: [Int]

    private var isFlat: Bool { place.kernel.count == 1 }

    private func arguments() throws(TorchError) -> [Argument] {
        let lead = isFlat ? [1] : []
        return [
            .tensor(isFlat ? try image.unsqueezed(2) : image), .ints(lead + place.kernel),
            .ints(lead + place.strides),
            .ints(lead.map { _ in 0 } + padding), .ints(lead + place.dilations), .bool(hangsOver),
        ]
    }

    func maxima() throws(TorchError) -> Tensor {
        let pool = place.kernel.count == 3 ? maxPool3d : maxPool2d
        let result = try pool.call(arguments())[0]
        return isFlat ? try result.squeezed(2) : result
    }

    /// - Parameter shape: the shape of the input.
    func maximaWithIndices(shape: [Int], columnMajor: Bool) throws(TorchError) -> (Tensor, Tensor) {
        let pool = place.kernel.count == 3 ? maxPool3dWithIndices : maxPool2dWithIndices
        let results = try pool.call(arguments())
        let maxima = isFlat ? try results[0].squeezed(2) : results[0]
        var flat = isFlat ? try results[1].squeezed(2) : results[1]
        let sizes = Array(image.shape.dropFirst(2))
        if columnMajor || origin.contains(where: { $0 != 0 }) || sizes != place.input {
            flat = try reindexed(flat, sizes: sizes, columnMajor: columnMajor)
        }
        let plane = place.input.reduce(1, *)
        let offsets = try Tensor((0..<shape[0] * shape[1]).map { $0 * plane })
            .reshaped(Array(shape[..<2]) + place.input.map { _ in 1 })
        return (maxima, try flat + offsets)
    }

    /// Row-major positions in an image of the spatial `sizes` as positions in the input.
    private func reindexed(_ flat: Tensor, sizes: [Int], columnMajor: Bool) throws(TorchError) -> Tensor {
        var rest = flat
        var coordinates: [Tensor] = []
        for (size, start) in zip(sizes, origin).reversed() {
            let coordinate = try remainder(.tensor(rest), .int(size))
            coordinates.insert(try coordinate - Tensor(scalar: start), at: 0)
            rest = try divide(.tensor(rest), .int(size), .string("floor"))
        }
        let ordered =
            columnMajor
            ? Array(zip(coordinates, place.input).reversed()) : Array(zip(coordinates, place.input))
        var result = ordered[0].0
        for (coordinate, size) in ordered.dropFirst() {
            result = try result * Tensor(scalar: size) + coordinate
        }
        return result
    }
}
