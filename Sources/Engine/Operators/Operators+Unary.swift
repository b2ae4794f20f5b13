internal import ONNX
internal import Torch

private let isInfinite = Operation("aten::isinf")
private let isPositiveInfinite = Operation("aten::isposinf")
private let isNegativeInfinite = Operation("aten::isneginf")

/// Functions of each element by itself.
extension Operators {
    nonisolated(unsafe) static let unary = OperatorFamily(
        [
            "Abs": elementwise("aten::abs"),
            "Acos": elementwise("aten::acos"),
            "Acosh": elementwise("aten::acosh"),
            "Asin": elementwise("aten::asin"),
            "Asinh": elementwise("aten::asinh"),
            "Atan": elementwise("aten::atan"),
            "Atanh": elementwise("aten::atanh"),
            "BitwiseNot": elementwise("aten::bitwise_not"),
            "Ceil": elementwise("aten::ceil"),
            "Cos": elementwise("aten::cos"),
            "Cosh": elementwise("aten::cosh"),
            "Dropout": dropout,
            "Erf": elementwise("aten::erf"),
            "Exp": elementwise("aten::exp"),
            "Floor": elementwise("aten::floor"),
            "Identity": { context in context.map { $0 } },
            "IsInf": infinities,
            "IsNaN": elementwise("aten::isnan"),
            "Log": elementwise("aten::log"),
            "Neg": elementwise("aten::neg"),
            "Not": elementwise("aten::logical_not"),
            "Reciprocal": elementwise("aten::reciprocal"),
            "Round": elementwise("aten::round"),
            "Sigmoid": elementwise("aten::sigmoid"),
            "Sign": elementwise("aten::sign"),
            "Sin": elementwise("aten::sin"),
            "Sinh": elementwise("aten::sinh"),
            "Sqrt": elementwise("aten::sqrt"),
            "Tan": elementwise("aten::tan"),
            "Tanh": elementwise("aten::tanh"),
        ],
        traits: [
            "Abs": .init(since: 6, inPlace: .init("aten::abs_")),
            "Ceil": .init(since: 6, isStepFunction: true),
            "Erf": .init(inPlace: .init("aten::erf_")),
            "Exp": .init(since: 6, inPlace: .init("aten::exp_")),
            "Floor": .init(since: 6, isStepFunction: true),
            "Identity": .init(since: 1),
            "Log": .init(since: 6),
            "Neg": .init(since: 6, inPlace: .init("aten::neg_")),
            "Not": .init(since: 1),
            "Reciprocal": .init(since: 6),
            "Round": .init(isStepFunction: true),
            "Sign": .init(isStepFunction: true),
            "Sigmoid": .init(since: 6, inPlace: .init("aten::sigmoid_")),
            "Sqrt": .init(since: 6, inPlace: .init("aten::sqrt_")),
            "Tanh": .init(since: 6, inPlace: .init("aten::tanh_")),
        ],
        operands: [
            .numbers: ["Abs", "Erf", "Neg", "Sign"],
            .reals: [
                "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Exp", "Floor",
                "IsInf", "IsNaN", "Log", "Reciprocal", "Round", "Sigmoid", "Sin", "Sinh", "Sqrt", "Tan",
                "Tanh",
            ],
            .truths: ["Not"],
            .wholes: ["BitwiseNot"],
        ])

    /// The builder of an operator that one of libtorch's computes, without attributes.
    ///
    /// libtorch computes `erf` and the like of integers as floating-point numbers; ONNX wants the integers' type.
    static func elementwise(_ name: String) -> OperatorBuilder {
        let operation = Operation(name)
        return { context in
            context.map { input in
                let output = try operation(.tensor(input))
                return output.scalarType.isFloatingPoint && !input.scalarType.isFloatingPoint
                    ? try output.converted(to: input.scalarType) : output
            }
        }
    }

    private static func infinities(_ context: OperatorContext) throws -> Kernel {
        let negative = try context.flag("detect_negative", default: true)
        let positive = try context.flag("detect_positive", default: true)
        return context.map { input in
            switch (negative, positive) {
            case (true, true): try isInfinite(.tensor(input))
            case (true, false): try isNegativeInfinite(.tensor(input))
            case (false, true): try isPositiveInfinite(.tensor(input))
            case (false, false): try Tensor.constant(false, shape: input.shape, type: .bool)
            }
        }
    }

    /// Dropout as it is when a network is used rather than trained: every element is kept.
    private static func dropout(_ context: OperatorContext) throws -> Kernel {
        let wantsMask = context.wants(output: 1)
        return { inputs in
            let input = try context.required(inputs, 0)
            let isTraining = try context.optional(inputs, 2)?.item(as: Bool.self) ?? false
            // Without the input the ratio is one half.
            let ratio = isTraining ? try context.optional(inputs, 1)?.item(as: Float.self) ?? 0.5 : 0
            guard ratio == 0 else {
                throw context.error(
                    "training_mode with ratio \(ratio) is random, which the engine does not do")
            }
            return wantsMask ? [input, try Tensor.constant(true, shape: input.shape, type: .bool)] : [input]
        }
    }
}
