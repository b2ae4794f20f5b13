internal import ONNX
internal import Torch

private let celu = Operation("aten::celu")
private let clampMin = Operation("aten::clamp_min")
private let clampMax = Operation("aten::clamp_max")
private let clamp = Operation("aten::clamp")
private let elu = Operation("aten::elu")
private let gelu = Operation("aten::gelu")
private let leakyRelu = Operation("aten::leaky_relu")
private let prelu = Operation("aten::prelu")
private let silu = Operation("aten::silu")
private let sigmoid = Operation("aten::sigmoid")
private let threshold = Operation("aten::threshold")
private let absolute = Operation("aten::abs")
private let add = Operation("aten::add.Tensor")
private let addScalar = Operation("aten::add.Scalar")
private let multiply = Operation("aten::mul.Tensor")
private let multiplyScalar = Operation("aten::mul.Scalar")
private let divide = Operation("aten::div.Tensor")
private let hardsigmoid = Operation("aten::hardsigmoid")
private let isBelow = Operation("aten::lt.Scalar")
private let isAbove = Operation("aten::gt.Scalar")
private let choose = Operation("aten::where.self")
private let zerosLike = Operation("aten::zeros_like")

/// The nonlinearities between layers.
extension Operators {
    nonisolated(unsafe) static let activations = OperatorFamily(
        [
            "Celu": { context in
                let alpha = try context.number("alpha", default: 1)
                return context.map { try celu(.tensor($0), .double(alpha)) }
            },
            "Elu": { context in
                let alpha = try context.number("alpha", default: 1)
                return context.map { try elu(.tensor($0), .double(alpha)) }
            },
            "Gelu": { context in
                let approximation = try context.node.string("approximate", default: "none")
                guard ["none", "tanh"].contains(approximation) else {
                    throw context.error(
                        "approximate is '\(approximation)', which is neither 'none' nor 'tanh'")
                }
                return context.map { try gelu(.tensor($0), .string(approximation)) }
            },
            "HardSigmoid": hardSigmoid,
            "HardSwish": elementwise("aten::hardswish"),
            "LeakyRelu": { context in
                let alpha = try context.number("alpha", default: 0.01)
                return context.map { try leakyRelu(.tensor($0), .double(alpha)) }
            },
            "Mish": elementwise("aten::mish"),
            "PRelu": parametricRelu,
            "Relu": elementwise("aten::relu"),
            "Selu": { context in
                let alpha = try context.number("alpha", default: 1.67326319217681884765625)
                let gamma = try context.number("gamma", default: 1.05070102214813232421875)
                return context.map { try elu(.tensor($0), .double(alpha), .double(gamma)) }
            },
            "Shrink": shrink,
            "Softplus": elementwise("aten::softplus"),
            "Softsign": { context in
                context.map { input in
                    try divide(
                        .tensor(input), .tensor(try addScalar(.tensor(try absolute(.tensor(input))), 1)))
                }
            },
            "SwiGLU": { context in
                let swish = try swish(context)
                return context.map { gate, linear in
                    guard gate.shape == linear.shape else {
                        throw context.error(
                            "a gate of shape \(gate.shape) for an input of shape \(linear.shape)")
                    }
                    return try multiply(.tensor(swish(gate)), .tensor(linear))
                }
            },
            "Swish": { context in context.map(try swish(context)) },
            "ThresholdedRelu": { context in
                let alpha = try context.number("alpha", default: 1)
                return context.map { try threshold(.tensor($0), .double(alpha), 0) }
            },
        ],
        traits: [
            "Elu": .init(since: 6),
            "HardSigmoid": .init(since: 6),
            "HardSwish": .init(inPlace: .init("aten::hardswish_")),
            "LeakyRelu": .init(since: 6),
            "Relu": .init(since: 6, inPlace: .init("aten::relu_")),
            "Selu": .init(since: 6),
            "Softplus": .init(since: 1),
            "Softsign": .init(since: 1),
        ],
        operands: [
            .numbers: ["PRelu", "Relu", "Shrink"],
            .reals: [
                "Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Selu", "Softplus",
                "Softsign",
                "SwiGLU", "Swish", "ThresholdedRelu",
            ],
        ])

    /// x·σ(alpha·x). Ramachandran et al., "Searching for Activation Functions", 2017, section 4.
    private static func swish(_ context: OperatorContext) throws -> (Tensor) throws -> Tensor {
        let alpha = try context.number("alpha", default: 1)
        if alpha == 1 { return { try silu(.tensor($0)) } }
        return { input in
            let scaled = try multiplyScalar(.tensor(input), .double(alpha))
            return try multiply(.tensor(input), .tensor(try sigmoid(.tensor(scaled))))
        }
    }

    private static func hardSigmoid(_ context: OperatorContext) throws -> Kernel {
        let alpha = try context.number("alpha", default: 0.2)
        let beta = try context.number("beta", default: 0.5)
        // libtorch's own form, which PyTorch exports.
        if Float(alpha) == 1 / 6 && beta == 0.5 { return context.map { try hardsigmoid(.tensor($0)) } }
        return context.map { input in
            let line = try addScalar(
                .tensor(try multiplyScalar(.tensor(input), .double(alpha))), .double(beta))
            return try clamp(.tensor(line), 0, 1)
        }
    }

    private static func parametricRelu(_ context: OperatorContext) throws -> Kernel {
        context.map { input, slope in
            guard broadcastShape(input.shape, slope.shape) == input.shape else {
                throw context.error(
                    "a slope of shape \(slope.shape) does not fit an input of shape \(input.shape)")
            }
            // One slope, or one per channel, is what libtorch has an operator for.
            let channelAxis = 1 - (input.rank - slope.rank)
            let isPerChannel =
                input.rank >= 2 && slope.shape.indices.contains(channelAxis)
                && slope.shape[channelAxis] == slope.count && slope.count == input.shape[1]
            if input.scalarType.isFloatingPoint && (slope.count == 1 || isPerChannel) {
                return try prelu(.tensor(input), .tensor(try slope.reshaped([slope.count])))
            }
            let negative = try multiply(.tensor(try clampMax(.tensor(input), 0)), .tensor(slope))
            return try add(.tensor(try clampMin(.tensor(input), 0)), .tensor(negative))
        }
    }

    private static func shrink(_ context: OperatorContext) throws -> Kernel {
        let lambda = try context.number("lambd", default: 0.5)
        let bias = try context.number("bias", default: 0)
        return context.map { input in
            let type = input.scalarType
            let lower = try addScalar(.tensor(input), .double(bias)).converted(to: type)
            let upper = try addScalar(.tensor(input), .double(-bias)).converted(to: type)
            let rest = try choose(
                .tensor(try isAbove(.tensor(input), .double(lambda))), .tensor(upper),
                .tensor(try zerosLike(.tensor(input))))
            return try choose(
                .tensor(try isBelow(.tensor(input), .double(-lambda))), .tensor(lower), .tensor(rest))
        }
    }
}
