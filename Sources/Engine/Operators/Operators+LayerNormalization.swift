internal import ONNX
internal import Torch

private let nativeLayerNorm = Operation("aten::native_layer_norm")
private let layerNorm = Operation("aten::layer_norm")
private let inverseRoot = Operation("aten::rsqrt")
private let norm = Operation("aten::norm.ScalarOpt_dim")
private let atLeast = Operation("aten::clamp_min")

extension Operators {
    /// LayerNormalization: X, scale, optional bias, normalized over the dimensions from `axis` on; mean and inverse
    /// standard deviation as optional outputs. Ba et al., "Layer Normalization", 2016, equation 4.
    static func layerNormalization(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: -1)
        let epsilon = Double(try context.node.float("epsilon", default: 1e-5))
        let wantsStatistics = context.wants(output: 1) || context.wants(output: 2)
        return { inputs in
            let x = try context.required(inputs, 0)
            let scale = try context.required(inputs, 1)
            let bias = context.optional(inputs, 2)
            let first = try context.axis(axis, rank: x.rank)
            let sizes = Array(x.shape[first...])
            // libtorch wants scale and bias in exactly the normalized shape; ONNX lets them broadcast.
            let isPlain = scale.shape == sizes && bias.map { $0.shape == sizes } ?? true
            let weight: Argument = isPlain ? .tensor(scale) : .none
            let offset: Argument = isPlain ? .optional(bias) : .none
            var results: [Tensor]
            if wantsStatistics {
                results = try nativeLayerNorm.call([
                    .tensor(x), .ints(sizes), weight, offset, .double(epsilon),
                ])
                let shape = Array(x.shape[..<first]) + sizes.map { _ in 1 }
                results[1] = try results[1].reshaped(shape)
                results[2] = try results[2].reshaped(shape)
            } else {
                results = [try layerNorm(.tensor(x), .ints(sizes), weight, offset, .double(epsilon), false)]
            }
            if !isPlain {
                results[0] = try results[0] * scale
                if let bias { results[0] = try results[0] + bias }
            }
            return results
        }
    }

    /// RMSNormalization: X and scale, over the dimensions from `axis` on.
    /// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, equation 4.
    static func rmsNormalization(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: -1)
        let epsilon = Double(try context.node.float("epsilon", default: 1e-5))
        return { inputs in
            let x = try context.required(inputs, 0)
            let first = try context.axis(axis, rank: x.rank)
            let square = try x.raised(to: 2).averaged(over: Array(first..<x.rank), keeping: true)
            return [try x * inverseRoot(.tensor(square + epsilon)) * context.required(inputs, 1)]
        }
    }

    /// LpNormalization: X divided by its p-norm along `axis`; 0 where that norm is 0.
    static func lpNormalization(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: -1)
        let exponent = try context.node.int("p", default: 2)
        guard exponent == 1 || exponent == 2 else {
            throw context.error("attribute p is \(exponent), neither 1 nor 2")
        }
        return { inputs in
            let x = try context.required(inputs, 0)
            let dimension = try context.axis(axis, rank: x.rank)
            let length = try norm(.tensor(x), .double(Double(exponent)), .ints([dimension]), true)
            return [try x / atLeast(.tensor(length), .double(Double(Float.leastNormalMagnitude)))]
        }
    }

    /// LRN: X (N, C, …) divided by a power of the squares of its neighbours among the channels.
    /// Krizhevsky et al., "ImageNet Classification with Deep CNNs", 2012, section 3.3.
    static func localResponseNormalization(_ context: OperatorContext) throws -> Kernel {
        let node = context.node
        let alpha = Double(try node.float("alpha", default: 0.0001))
        let beta = Double(try node.float("beta", default: 0.75))
        let bias = Double(try node.float("bias", default: 1))
        let size = try node.int("size")
        guard (1...SpatialWindow.largest).contains(size) else {
            throw context.error("attribute size is \(size); it must be positive, and not absurdly large")
        }
        return { inputs in
            let x = try context.required(inputs, 0)
            guard x.rank >= 2 else { throw context.error("an input of shape \(x.shape) has no channels") }
            let squares = try x.raised(to: 2).reshaped([x.shape[0], x.shape[1], -1])
            let place = WindowPlacement(
                input: [x.shape[1], squares.shape[2]], kernel: [size, 1], strides: [1, 1], dilations: [1, 1],
                begin: [(size - 1) / 2, 0], end: [size / 2, 0], output: [x.shape[1], squares.shape[2]])
            let sums = try place.sums(of: squares.unsqueezed(1)).reshaped(x.shape)
            return [try x / (sums * (alpha / Double(size)) + bias).raised(to: beta)]
        }
    }
}
