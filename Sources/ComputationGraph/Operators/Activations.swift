internal import Glibc
internal import ONNX

/// Activation functions: functions of each element by itself that networks bend their values with.
///
/// Source of the functions: ONNX's operator definitions.
extension OperatorFacts {
    static let activations: [String: OperatorFacts] = [
        "Celu": activation {
            let alpha = try $0.number("alpha", default: 1)
            return { max(0, $0) + min(0, alpha * expm1($0 / alpha)) }
        },
        "Clip": OperatorFacts(
            sizes: likeFirst, axes: alignedFirst, preservesZeros: clipKeepsZeros, sign: signAboveLimit,
            evaluation: .first { try $0.elementwise(clip) },
            simplifications: [.carryingEveryAxis, .onceForAllSamples]),
        "Elu": activation {
            let alpha = try $0.number("alpha", default: 1)
            return { $0 < 0 ? alpha * expm1($0) : $0 }
        },
        "Gelu": activation { evaluation in
            if try evaluation.vertex.node.string("approximate", default: "none") == "tanh" {
                return {
                    0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0)))
                }
            }
            return { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
        },
        "HardSigmoid": activation(preservesZeros: nowhere, sign: nonNegative) {
            let (alpha, beta) = (try $0.number("alpha", default: 0.2), try $0.number("beta", default: 0.5))
            return { max(0, min(1, alpha * $0 + beta)) }
        },
        "HardSwish": activation { _ in { $0 * max(0, min(1, $0 / 6 + 0.5)) } },
        "LeakyRelu": activation {
            let alpha = try $0.number("alpha", default: 0.01)
            return { $0 < 0 ? alpha * $0 : $0 }
        },
        "Mish": activation { _ in { $0 * tanh(log1p(exp(-abs($0))) + max($0, 0)) } },
        "PRelu": OperatorFacts(
            broadcasts: true, sizes: broadcast, axes: alignedAxes, preservesZeros: inFirst,
            trained: .slots(1..<2), evaluation: .binary { $0 < 0 ? $0 * $1 : $0 },
            simplifications: [.carryingBroadcast, smallSlope, .onceForAllSamples]),
        "Relu": activation(sign: nonNegative, zeroOutput: .first) { _ in { max($0, 0) } },
        "Selu": activation {
            let alpha = try $0.number("alpha", default: 1.67326319217681884765625)
            let gamma = try $0.number("gamma", default: 1.05070102214813232421875)
            return { gamma * ($0 <= 0 ? alpha * expm1($0) : $0) }
        },
        "Shrink": OperatorFacts(
            axes: alignedAxes,
            evaluation: .unary {
                let (bias, lambda) = (
                    try $0.number("bias", default: 0), try $0.number("lambd", default: 0.5)
                )
                return { $0 < -lambda ? $0 + bias : $0 > lambda ? $0 - bias : 0 }
            }, simplifications: [.carryingEveryAxis]),
        "Sigmoid": activation(preservesZeros: nowhere, sign: nonNegative) { _ in { 1 / (1 + exp(-$0)) } },
        "Softplus": activation(preservesZeros: nowhere, sign: nonNegative) { _ in
            { log1p(exp(-abs($0))) + max($0, 0) }
        },
        "Softsign": activation { _ in { $0 / (1 + abs($0)) } },
        // Both factors of SwiGLU are zero at zero.
        "SwiGLU": OperatorFacts(
            axes: alignedAxes, preservesZeros: everywhere, operations: { 2 * $0.outputElements }),
        "Swish": OperatorFacts(axes: alignedAxes, preservesZeros: inFirst),
        "Tanh": activation { _ in { tanh($0) } },
        "ThresholdedRelu": activation {
            let alpha = try $0.number("alpha", default: 1)
            return { $0 > alpha ? $0 : 0 }
        },
    ]

    /// A function of each element by itself.
    static func activation(
        outputType: @escaping @Sendable (OutputTyping) -> ElementType? = { $0.input(0) },
        preservesZeros: @escaping @Sendable (InputSlot) -> Bool = inFirst,
        sign: @escaping @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { _ in .any },
        spoils: (@Sendable (FinitenessRisk.Site) -> Bool)? = nil, zeroOutput: ZeroOutput = .unknown,
        simplifications: [Simplification] = [.carryingEveryAxis, .onceForAllSamples],
        _ function: @escaping @Sendable (Evaluation) throws -> (Double) -> Double
    ) -> OperatorFacts {
        OperatorFacts(
            outputType: outputType, sizes: likeFirst, axes: alignedAxes, preservesZeros: preservesZeros,
            zeroOutput: zeroOutput,
            spoils: spoils, sign: sign, evaluation: .unary(function), simplifications: simplifications)
    }

    /// Clip has its limits as attributes before opset 11, as inputs after. Zeros stay where the limits are around zero.
    private static let clipKeepsZeros: @Sendable (InputSlot) -> Bool = { input in
        guard input.slot == 0 else { return false }
        if input.vertex.version < 11 {
            return input.number("min", default: -.infinity) <= 0
                && input.number("max", default: .infinity) >= 0
        }
        let low = input.hasInput(1) ? input.constants(1) : [-.infinity]
        let high = input.hasInput(2) ? input.constants(2) : [.infinity]
        guard let low, let high else { return false }
        return low.allSatisfy { $0 <= 0 } && high.allSatisfy { $0 >= 0 }
    }

    private static let signAboveLimit: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { site in
        let low: FinitenessRisk.Sign
        if site.vertex.version < 11 {
            let limit = site.vertex.node.attribute.first { $0.name == "min" }?.f ?? -.infinity
            low = limit > 0 ? .positive : limit >= 0 ? .nonNegative : .any
        } else {
            low = site.slots.contains(1) ? site.sign(1) : .any
        }
        return max(low, site.sign(0))
    }

    /// The limits of Clip may be left out one by one.
    private static func clip(_ evaluation: Evaluation, _ count: Int) throws -> (([Double]) -> Double)? {
        let node = evaluation.vertex.node
        let isOld = evaluation.vertex.version < 11
        let low =
            isOld
            ? try Double(node.float("min", default: -.infinity))
            : try evaluation.constant(1)?.single ?? -.infinity
        let high =
            isOld
            ? try Double(node.float("max", default: .infinity))
            : try evaluation.constant(2)?.single ?? .infinity
        return { min(max($0[0], low), high) }
    }

    /// PRelu broadcasts its slope to its input, never its input to its slope.
    private static let smallSlope = Simplification { rewriter, vertex, operands in
        guard operands.first??.form.isTensor ?? false else { return false }
        return try Simplification.broadcasting.apply(&rewriter, vertex, operands)
    }
}

extension Evaluation {
    /// A number among the vertex's attributes.
    func number(_ name: String, default fallback: Double) throws -> Double {
        try vertex.node.float(name, default: nil).map(Double.init) ?? fallback
    }
}
