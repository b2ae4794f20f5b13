internal import ONNX
internal import Torch

/// Matrix products and convolutions of quantized numbers.
///
/// Products and sums are taken in double precision, which holds them exactly: 2⁵³ is far beyond a sum of products
/// of 8-bit numbers.
extension Operators {
    nonisolated(unsafe) static let integerProducts: OperatorFamily = [
        "ConvInteger": { context in
            let convolve = try convolution(context)
            return { inputs in
                let input = try context.required(inputs, 0).centred(context.optional(inputs, 2))
                let weight = try context.required(inputs, 1)
                let zeroPoint = try context.optional(inputs, 3)?.alongChannels(rank: weight.rank)
                return [try convolve(input, try weight.centred(zeroPoint), nil).converted(to: .int32)]
            }
        },
        "MatMulInteger": { context in
            { inputs in
                let left = try context.required(inputs, 0).centred(context.optional(inputs, 2)?.alongRows())
                let right = try context.required(inputs, 1).centred(context.optional(inputs, 3))
                return [try left.matrixProduct(right).converted(to: .int32)]
            }
        },
        "QLinearConv": quantizedConvolution,
        "QLinearMatMul": quantizedProduct,
    ]

    private static func quantizedProduct(_ context: OperatorContext) throws -> Kernel {
        { inputs in
            let left = try context.required(inputs, 0).centred(context.required(inputs, 2).alongRows())
            let right = try context.required(inputs, 3).centred(context.required(inputs, 5))
            let scale =
                try context.required(inputs, 1).alongRows().converted(to: .float64)
                * context.required(inputs, 4).converted(to: .float64)
            let number = try left.matrixProduct(right) * scale
            let zeroPoint = try context.required(inputs, 7)
            return [
                try number.quantized(
                    scale: try context.required(inputs, 6).converted(to: .float64), zeroPoint: zeroPoint,
                    to: try context.range(of: zeroPoint))
            ]
        }
    }

    private static func quantizedConvolution(_ context: OperatorContext) throws -> Kernel {
        let convolve = try convolution(context)
        return { inputs in
            let input = try context.required(inputs, 0).centred(context.required(inputs, 2))
            let rawWeight = try context.required(inputs, 3)
            let weight = try rawWeight.centred(
                context.required(inputs, 5).alongChannels(rank: rawWeight.rank))
            let bias = try context.optional(inputs, 8)?.converted(to: .float64)
            let sums = try convolve(input, weight, bias)
            // One scale for every output channel, or one for all.
            let weightScale = try context.required(inputs, 4)
            let perChannel =
                weightScale.count == 1
                ? try weightScale.reshaped([]) : try weightScale.alongDimension(1, rank: rawWeight.rank)
            let scale =
                try context.required(inputs, 1).converted(to: .float64) * perChannel.converted(to: .float64)
            let zeroPoint = try context.required(inputs, 7)
            return [
                try (sums * scale).quantized(
                    scale: try context.required(inputs, 6).converted(to: .float64), zeroPoint: zeroPoint,
                    to: try context.range(of: zeroPoint))
            ]
        }
    }

    /// Conv's own kernel: all of these read its attributes.
    private static func convolution(
        _ context: OperatorContext
    ) throws -> (_ input: Tensor, _ weight: Tensor, _ bias: Tensor?) throws -> Tensor {
        guard let builder = convolutions.builders["Conv"] else { throw context.unsupported("without Conv") }
        let kernel = try builder(context)
        return { input, weight, bias in
            guard let output = try kernel([input, weight, bias]).first ?? nil else {
                throw context.error("the convolution gave no output")
            }
            return output
        }
    }
}

extension OperatorContext {
    /// The range that a zero point stands for.
    fileprivate func range(of zeroPoint: Tensor) throws -> QuantizedRange {
        guard let range = QuantizedRange(zeroPoint: zeroPoint.scalarType) else {
            throw unsupported("to the type of its zero point")
        }
        return range
    }
}

extension Tensor {
    /// A vector with one number per row of a matrix as a column; anything else as it is.
    fileprivate func alongRows() throws(TorchError) -> Tensor {
        rank == 1 && count > 1 ? try reshaped([count, 1]) : self
    }

    /// A vector with one number per output channel of a weight, laid along its first dimension.
    fileprivate func alongChannels(rank: Int) throws(TorchError) -> Tensor {
        count == 1 || rank == 0 ? try reshaped([]) : try alongDimension(0, rank: rank)
    }
}
