internal import ONNX
internal import Torch

private let add = Operation("aten::add.Tensor")
private let divide = Operation("aten::div.Tensor")
private let divideMode = Operation("aten::div.Tensor_mode")
private let divideScalar = Operation("aten::div.Scalar")
private let maximum = Operation("aten::maximum")
private let minimum = Operation("aten::minimum")
private let power = Operation("aten::pow.Tensor_Tensor")
private let powerScalar = Operation("aten::pow.Tensor_Scalar")
private let floatRemainder = Operation("aten::fmod.Tensor")
private let remainder = Operation("aten::remainder.Tensor")
private let shiftLeft = Operation("aten::bitwise_left_shift.Tensor")
private let shiftRight = Operation("aten::bitwise_right_shift.Tensor")
private let choose = Operation("aten::where.self")

/// Functions of the elements of two or more tensors, broadcast to one shape.
extension Operators {
    nonisolated(unsafe) static let binary: [String: OperatorBuilder] = [
        "Add": pairwise("aten::add.Tensor"),
        "And": pairwise("aten::logical_and"),
        "BitShift": bitShift,
        "BitwiseAnd": pairwise("aten::bitwise_and.Tensor"),
        "BitwiseOr": pairwise("aten::bitwise_or.Tensor"),
        "BitwiseXor": pairwise("aten::bitwise_xor.Tensor"),
        "Div": { context in
            context.map { left, right in
                // Whole numbers are divided as in C: towards zero.
                left.scalarType.isFloatingPoint
                    ? try divide(.tensor(left), .tensor(right))
                    : try divideMode(.tensor(left), .tensor(right), .string("trunc"))
            }
        },
        "Equal": pairwise("aten::eq.Tensor"),
        "Greater": pairwise("aten::gt.Tensor"),
        "GreaterOrEqual": pairwise("aten::ge.Tensor"),
        "Less": pairwise("aten::lt.Tensor"),
        "LessOrEqual": pairwise("aten::le.Tensor"),
        "Max": { context in variadic(context) { try maximum(.tensor($0), .tensor($1)) } },
        "Mean": mean,
        "Min": { context in variadic(context) { try minimum(.tensor($0), .tensor($1)) } },
        "Mod": modulo,
        "Mul": pairwise("aten::mul.Tensor"),
        "Or": pairwise("aten::logical_or"),
        "Pow": raise,
        "Sub": pairwise("aten::sub.Tensor"),
        "Sum": { context in variadic(context) { try add(.tensor($0), .tensor($1)) } },
        "Where": { context in
            { inputs in
                let condition = try context.required(inputs, 0)
                let (first, second) = (try context.required(inputs, 1), try context.required(inputs, 2))
                return [try choose(.tensor(condition), .tensor(first), .tensor(second))]
            }
        },
        "Xor": pairwise("aten::logical_xor"),
    ]

    /// The builder of an operator that one of libtorch's computes from two tensors, without attributes.
    static func pairwise(_ name: String) -> OperatorBuilder {
        let operation = Operation(name)
        return { context in context.map { try operation(.tensor($0), .tensor($1)) } }
    }

    /// A kernel that combines any number of inputs from left to right.
    private static func variadic(
        _ context: OperatorContext, _ combine: @escaping (Tensor, Tensor) throws -> Tensor
    ) -> Kernel {
        { inputs in
            var result = try context.required(inputs, 0)
            for slot in inputs.indices.dropFirst() {
                result = try combine(result, try context.required(inputs, slot))
            }
            return [result]
        }
    }

    private static func mean(_ context: OperatorContext) throws -> Kernel {
        let sum = variadic(context) { try add(.tensor($0), .tensor($1)) }
        return { inputs in
            let total = try sum(inputs)
            guard let total = total[0], inputs.count > 1 else { return total }
            return [try divideScalar(.tensor(total), .int(inputs.count))]
        }
    }

    private static func modulo(_ context: OperatorContext) throws -> Kernel {
        let takesDividendsSign = try context.flag("fmod", default: false)
        return context.map { left, right in
            if takesDividendsSign { return try floatRemainder(.tensor(left), .tensor(right)) }
            guard !left.scalarType.isFloatingPoint else {
                throw context.error("fmod must be 1 for floating-point numbers")
            }
            return try remainder(.tensor(left), .tensor(right))
        }
    }

    /// Powers have the base's element type, whatever the exponent's.
    private static func raise(_ context: OperatorContext) throws -> Kernel {
        var exponent: Argument?
        if let constant = context.constant(1), constant.count == 1 {
            exponent = try constant.scalarArgument()
        }
        return context.map { [exponent] base, tensor in
            let result: Tensor
            // libtorch knows squares and roots, and their derivatives at 0, when the exponent is one number.
            if let exponent, tensor.rank <= base.rank, base.scalarType.isFloatingPoint {
                result = try powerScalar(.tensor(base), exponent)
            } else {
                result = try power(.tensor(base), .tensor(tensor))
            }
            return try result.converted(to: base.scalarType)
        }
    }

    private static func bitShift(_ context: OperatorContext) throws -> Kernel {
        let direction = try context.node.string("direction")
        switch direction {
        case "LEFT": return context.map { try shiftLeft(.tensor($0), .tensor($1)) }
        case "RIGHT": return context.map { try shiftRight(.tensor($0), .tensor($1)) }
        default: throw context.error("direction is '\(direction)', which is neither 'LEFT' nor 'RIGHT'")
        }
    }
}
