internal import Glibc
internal import ONNX

/// Elementary functions of each element by itself.
extension OperatorFacts {
    static let functions: [String: OperatorFacts] = [
        "Abs": activation(sign: nonNegative) { _ in { abs($0) } },
        "Acos": OperatorFacts(axes: alignedAxes, spoils: anywhere),
        "Acosh": OperatorFacts(axes: alignedAxes, spoils: anywhere),
        "Asin": OperatorFacts(axes: alignedAxes, preservesZeros: inFirst, spoils: anywhere),
        "Asinh": OperatorFacts(axes: alignedAxes, preservesZeros: inFirst),
        "Atan": OperatorFacts(axes: alignedAxes, preservesZeros: inFirst),
        "Atanh": OperatorFacts(axes: alignedAxes, preservesZeros: inFirst, spoils: anywhere),
        "BitwiseNot": OperatorFacts(axes: alignedAxes),
        "Ceil": activation(simplifications: [.carryingEveryAxis]) { _ in { $0.rounded(.up) } },
        "Cos": activation(preservesZeros: nowhere, simplifications: []) { _ in { cos($0) } },
        "Cosh": OperatorFacts(axes: alignedAxes),
        "Erf": activation { _ in { erf($0) } },
        // Without what is subtracted before it, the power may be too large.
        "Exp": activation(preservesZeros: nowhere, sign: nonNegative, spoils: { $0.followsCut(0) }) { _ in
            { exp($0) }
        },
        "Floor": activation(simplifications: [.carryingEveryAxis]) { _ in { $0.rounded(.down) } },
        "IsInf": OperatorFacts(
            outputType: always(.bool), axes: alignedAxes,
            evaluation: .unary { evaluation in
                let node = evaluation.vertex.node
                let positive = try node.int("detect_positive", default: 1) != 0
                let negative = try node.int("detect_negative", default: 1) != 0
                return { $0.isInfinite && ($0 > 0 ? positive : negative) ? 1 : 0 }
            }),
        "IsNaN": activation(
            outputType: always(.bool), preservesZeros: nowhere, simplifications: [.carryingEveryAxis]
        ) { _ in { $0.isNaN ? 1 : 0 } },
        "Log": activation(preservesZeros: nowhere, spoils: unlessPositive) { _ in { log($0) } },
        "Neg": activation(zeroOutput: .first) { _ in { -$0 } },
        "Not": activation(
            outputType: always(.bool), preservesZeros: nowhere, simplifications: [.carryingEveryAxis]
        ) { _ in { $0 == 0 ? 1 : 0 } },
        "Reciprocal": activation(preservesZeros: nowhere, spoils: unlessPositive) { _ in { 1 / $0 } },
        "Round": activation(simplifications: [.carryingEveryAxis]) { _ in { $0.rounded(.toNearestOrEven) } },
        "Sign": activation(simplifications: [.carryingEveryAxis]) { _ in { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 } },
        "Sin": activation(simplifications: []) { _ in { sin($0) } },
        "Sinh": OperatorFacts(axes: alignedAxes, preservesZeros: inFirst),
        "Sqrt": activation(sign: signOfFirst, spoils: { $0.sign(0) < .nonNegative }) { _ in
            { $0.squareRoot() }
        },
        "Tan": OperatorFacts(axes: alignedAxes, preservesZeros: inFirst, spoils: anywhere),
    ]

    /// Not finite somewhere, and where is not looked at.
    static let anywhere: @Sendable (FinitenessRisk.Site) -> Bool = { _ in true }
    /// Not finite at numbers that are not positive.
    static let unlessPositive: @Sendable (FinitenessRisk.Site) -> Bool = { $0.sign(0) < .positive }
}
