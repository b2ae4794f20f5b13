internal import Glibc
internal import ONNX

extension Evaluation {
    /// Operators that work element by element, on one input or on several that broadcast.
    func elementwise() throws -> Constant? {
        if vertex.operation == "Mul", hasZeroFactor { return zero }
        if vertex.operation == "And", isZero(0) || isZero(1) { return zero }
        if vertex.operation == "Where" { return try whereElements() }
        var constants: [Constant] = []
        for slot in inputs.indices where isPresent(slot) {
            if slot > 0, vertex.operation == "Dropout" || vertex.operation == "CastLike" { break }
            guard let constant = try constant(slot) else { return nil }
            constants.append(constant)
        }
        guard !constants.isEmpty else { return nil }
        let type = outputs[0].elementType
        if constants.count == 1, type.isInteger, vertex.operation == "Identity" || vertex.operation == "Cast"
        {
            return constants[0].elementType.isInteger ? constants[0].converted(to: type) : nil
        }
        guard type.isFloatingPoint || type == .bool, let function = try function(inputs: constants.count)
        else {
            return nil
        }
        return combine(constants, function)
    }

    /// The function of corresponding elements, over the shape that the constants broadcast to.
    func combine(_ constants: [Constant], _ function: ([Double]) -> Double) -> Constant? {
        let rank = max(outputRank, constants.map(\.rank).max() ?? 0)
        var shape = [Int](repeating: 1, count: rank)
        let padded = constants.map { $0.withRank(rank) }
        for constant in padded {
            for axis in shape.indices { shape[axis] = max(shape[axis], constant.shape[axis]) }
        }
        var expanded: [[Double]] = []
        for constant in padded {
            guard let whole = constant.expanded(to: shape) else { return nil }
            expanded.append(whole.elements)
        }
        let count = shape.reduce(1, *)
        return Constant(
            outputs[0].elementType, shape: shape,
            (0..<count).map { index in function(expanded.map { $0[index] }) })
    }

    private func whereElements() throws -> Constant? {
        if let condition = try constant(0) {
            // The branch that is not taken may be anything.
            let all = condition.isFilled(with: 1)
            if all || condition.isZero, let taken = try constant(all ? 1 : 2) {
                return taken.withRank(outputRank)
            }
            guard let yes = try constant(1), let no = try constant(2) else { return nil }
            return combine([condition, yes, no]) { $0[0] != 0 ? $0[1] : $0[2] }
        }
        guard let yes = try constant(1), let no = try constant(2), let number = yes.single,
            no.single == number
        else {
            return nil
        }
        return yes.withRank(outputRank)
    }

    /// The function that the operator applies; `nil` for operators that are not elementwise or not known.
    private func function(inputs count: Int) throws -> (([Double]) -> Double)? {
        if vertex.operation == "Clip" {
            // The limits may be left out one by one.
            let low =
                vertex.version < 11
                ? try Double(vertex.node.float("min", default: -.infinity))
                : try constant(1)?.single ?? -.infinity
            let high =
                vertex.version < 11
                ? try Double(vertex.node.float("max", default: .infinity))
                : try constant(2)?.single ?? .infinity
            return { min(max($0[0], low), high) }
        }
        if count == 1, let unary = try unary() { return { unary($0[0]) } }
        switch vertex.operation {
        case "Add", "Sum": return { $0.reduce(0, +) }
        case "Mul": return { $0.reduce(1, *) }
        case "Min": return { $0.reduce(.infinity) { $1.isNaN ? $1 : Swift.min($0, $1) } }
        case "Max": return { $0.reduce(-.infinity) { $1.isNaN ? $1 : Swift.max($0, $1) } }
        case "Mean": return { $0.reduce(0, +) / Double($0.count) }
        default: break
        }
        guard count == 2 else { return nil }
        switch vertex.operation {
        case "Sub": return { $0[0] - $0[1] }
        case "Div": return { $0[0] / $0[1] }
        case "Pow": return { pow($0[0], $0[1]) }
        case "PRelu": return { $0[0] < 0 ? $0[0] * $0[1] : $0[0] }
        case "Equal": return { $0[0] == $0[1] ? 1 : 0 }
        case "Greater": return { $0[0] > $0[1] ? 1 : 0 }
        case "GreaterOrEqual": return { $0[0] >= $0[1] ? 1 : 0 }
        case "Less": return { $0[0] < $0[1] ? 1 : 0 }
        case "LessOrEqual": return { $0[0] <= $0[1] ? 1 : 0 }
        case "And": return { $0[0] != 0 && $0[1] != 0 ? 1 : 0 }
        case "Or": return { $0[0] != 0 || $0[1] != 0 ? 1 : 0 }
        case "Xor": return { ($0[0] != 0) != ($0[1] != 0) ? 1 : 0 }
        default: return nil
        }
    }

    /// The function of an operator with one input. Source: ONNX's operator definitions.
    private func unary() throws -> ((Double) -> Double)? {
        func number(_ name: String, _ value: Double) throws -> Double {
            try vertex.node.float(name, default: nil).map(Double.init) ?? value
        }
        switch vertex.operation {
        case "Identity", "Dropout", "CastLike": return { $0 }
        case "Cast": return outputs[0].elementType == .bool ? { $0 == 0 ? 0 : 1 } : { $0 }
        case "Relu": return { max($0, 0) }
        case "LeakyRelu":
            let alpha = try number("alpha", 0.01)
            return { $0 < 0 ? alpha * $0 : $0 }
        case "Elu":
            let alpha = try number("alpha", 1)
            return { $0 < 0 ? alpha * expm1($0) : $0 }
        case "Celu":
            let alpha = try number("alpha", 1)
            return { max(0, $0) + min(0, alpha * expm1($0 / alpha)) }
        case "Selu":
            let alpha = try number("alpha", 1.67326319217681884765625)
            let gamma = try number("gamma", 1.05070102214813232421875)
            return { gamma * ($0 <= 0 ? alpha * expm1($0) : $0) }
        case "ThresholdedRelu":
            let alpha = try number("alpha", 1)
            return { $0 > alpha ? $0 : 0 }
        case "HardSigmoid":
            let (alpha, beta) = (try number("alpha", 0.2), try number("beta", 0.5))
            return { max(0, min(1, alpha * $0 + beta)) }
        case "HardSwish": return { $0 * max(0, min(1, $0 / 6 + 0.5)) }
        case "Sigmoid": return { 1 / (1 + exp(-$0)) }
        case "Softplus": return { log1p(exp(-abs($0))) + max($0, 0) }
        case "Softsign": return { $0 / (1 + abs($0)) }
        case "Mish": return { $0 * tanh(log1p(exp(-abs($0))) + max($0, 0)) }
        case "Gelu":
            if try vertex.node.string("approximate", default: "none") == "tanh" {
                return {
                    0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0)))
                }
            }
            return { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
        case "Shrink":
            let (bias, lambda) = (try number("bias", 0), try number("lambd", 0.5))
            return { $0 < -lambda ? $0 + bias : $0 > lambda ? $0 - bias : 0 }
        case "Tanh": return { tanh($0) }
        case "Erf": return { erf($0) }
        case "Exp": return { exp($0) }
        case "Log": return { log($0) }
        case "Sqrt": return { $0.squareRoot() }
        case "Reciprocal": return { 1 / $0 }
        case "Neg": return { -$0 }
        case "Abs": return { abs($0) }
        case "Sign": return { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
        case "Floor": return { $0.rounded(.down) }
        case "Ceil": return { $0.rounded(.up) }
        case "Round": return { $0.rounded(.toNearestOrEven) }
        case "Sin": return { sin($0) }
        case "Cos": return { cos($0) }
        case "Not": return { $0 == 0 ? 1 : 0 }
        case "IsNaN": return { $0.isNaN ? 1 : 0 }
        case "IsInf":
            let positive = try vertex.node.int("detect_positive", default: 1) != 0
            let negative = try vertex.node.int("detect_negative", default: 1) != 0
            return { $0.isInfinite && ($0 > 0 ? positive : negative) ? 1 : 0 }
        default: return nil
        }
    }
}
