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
private let keepBits = Operation("aten::bitwise_and.Scalar")
private let isEqual = Operation("aten::eq.Tensor")
private let negate = Operation("aten::neg")
private let isBelow = Operation("aten::lt.Tensor")
private let isAtLeast = Operation("aten::ge.Tensor")
private let both = Operation("aten::logical_and")

/// Functions of the elements of two or more tensors, broadcast to one shape.
extension Operators {
    nonisolated(unsafe) static let binary = OperatorFamily(
        [
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
                        : try divided(left, right, by: { try negate(.tensor($0)) }) {
                            try divideMode(.tensor(left), .tensor($0), .string("trunc"))
                        }
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
        ],
        traits: [
            "Add": .init(inPlace: .init("aten::add_.Tensor", over: [0, 1]), zeroIsNeutral: true),
            "Div": .init(inPlace: .init("aten::div_.Tensor", over: [0])),
            "Mul": .init(inPlace: .init("aten::mul_.Tensor", over: [0, 1])),
            "Sub": .init(inPlace: .init("aten::sub_.Tensor", over: [0])),
        ],
        operands: [
            .alike(): ["Equal"],
            .alike([1, 2]): ["Where"],
            .numbers: [
                "Add", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul",
                "Sub",
            ],
            .reals: ["Mean", "Sum"],
            .truths: ["And", "Or", "Xor"],
            .wholes: ["BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"],
        ])

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
            func nothing(_ left: Tensor) throws -> Tensor { try left - left }
            if takesDividendsSign {
                return try divided(left, right, by: nothing) {
                    try floatRemainder(.tensor(left), .tensor($0))
                }
            }
            guard !left.scalarType.isFloatingPoint || context.version >= 28 else {
                throw context.error("fmod must be 1 for floating-point numbers")
            }
            return try divided(left, right, by: nothing) { try remainder(.tensor(left), .tensor($0)) }
        }
    }

    /// A division in which whole divisors of −1 go another way: the least whole number divided by −1 is none, and processors stop
    /// the program there.
    ///
    /// - Parameters:
    ///   - byMinusOne: what takes the place of the division by −1.
    ///   - divide: divides by a divisor without −1.
    private static func divided(
        _ left: Tensor, _ right: Tensor, by byMinusOne: (Tensor) throws -> Tensor,
        _ divide: (Tensor) throws -> Tensor
    ) throws -> Tensor {
        guard right.scalarType == .int32 || right.scalarType == .int64 else { return try divide(right) }
        let minusOne = try Tensor(scalar: Int64(-1)).converted(to: right.scalarType)
        let isMinusOne = try isEqual(.tensor(right), .tensor(minusOne))
        let result = try divide(isMinusOne.choosing(minusOne * minusOne, else: right))
        return try isMinusOne.choosing(byMinusOne(left), else: result)
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

    /// BitShift: bits that leave the type's width are gone. Shifts by fewer than 0 bits, or by as many as there are and
    /// more, leave nothing but what a sign fills in.
    private static func bitShift(_ context: OperatorContext) throws -> Kernel {
        let direction = try context.node.string("direction")
        guard ["LEFT", "RIGHT"].contains(direction) else {
            throw context.error("direction is '\(direction)', which is neither 'LEFT' nor 'RIGHT'")
        }
        let type = context.inputType(0)
        return context.map { left, right in
            let width = type?.bitWidth ?? left.scalarType.byteSize * 8
            let zero = try Tensor(scalar: Int64(0)).converted(to: left.scalarType)
            let bits = try Tensor(scalar: Int64(width)).converted(to: right.scalarType)
            let shifted: Tensor
            if direction == "LEFT" {
                let moved = try shiftLeft(.tensor(left), .tensor(right))
                // Held in a wider type than it is.
                let isNarrow = type == .uint16 || type == .uint32
                shifted = isNarrow ? try keepBits(.tensor(moved), .int(1 << width - 1)) : moved
            } else if type == .uint64 {
                // Held with a sign, which must not fill in: the first bit goes without.
                let one = try Tensor(scalar: Int64(1))
                let first = try keepBits(.tensor(shiftRight(.tensor(left), .tensor(one))), .int(.max))
                let rest = try shiftRight(.tensor(first), .tensor(right - one))
                shifted = try isEqual(.tensor(right), .tensor(zero)).choosing(left, else: rest)
            } else {
                shifted = try shiftRight(.tensor(left), .tensor(right))
            }
            let filled =
                try direction == "RIGHT" && type != .uint64
                ? isBelow(.tensor(left), .tensor(zero)).choosing(
                    Tensor(scalar: Int64(-1)).converted(to: left.scalarType), else: zero)
                : zero
            let noBits = try Tensor(scalar: Int64(0)).converted(to: right.scalarType)
            let isInside = try both(
                .tensor(isAtLeast(.tensor(right), .tensor(noBits))),
                .tensor(isBelow(.tensor(right), .tensor(bits))))
            return try isInside.choosing(shifted, else: filled)
        }
    }
}
