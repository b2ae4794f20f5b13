internal import ONNX

/// Which values a mask may make infinite or NaN that are finite without it.
///
/// Zero times such a value is NaN, not zero. Whoever passes zeros through a product has to know that its other factor is
/// finite. A removed edge can spoil a value where a layer divides by what depends on it, or takes its root, logarithm or
/// power; a divisor that provably stays above a constant (x + ε of what is not negative, Max(x, ε), Clip) does no harm.
/// Numbers that merely become too large are not foreseen.
struct FinitenessRisk {
    /// What is certain of a value's elements.
    private enum Sign: Int, Comparable {
        case any, nonNegative, positive
        static func < (left: Sign, right: Sign) -> Bool { left.rawValue < right.rawValue }
    }

    /// By value: whether it may be infinite or NaN because of the mask.
    private let isRisky: [Bool]

    /// Whether a mask can have made the value infinite or NaN.
    subscript(value: Int) -> Bool { isRisky[value] }

    /// Operators that make something infinite or NaN of some finite numbers.
    static let hazards: Set<String> = [
        "Div", "Reciprocal", "Log", "Pow", "Sqrt", "Exp", "Acos", "Asin", "Acosh", "Atanh", "Tan", "Mod",
        "LpNormalization", "ReduceLogSum",
    ]

    /// Works out what `mask` may spoil.
    init(_ graph: Graph, _ mask: Mask) {
        let cuts = Cuts(mask, in: graph)
        var isRisky = [Bool](repeating: false, count: graph.values.count)
        var isAffected = isRisky
        var signs = [Sign](repeating: .any, count: graph.values.count)
        var storedSigns: [Int: Sign] = [:]

        for index in graph.order {
            let vertex = graph.vertices[index]
            func isCut(_ slot: Int) -> Bool { cuts.contains(index, slot) }
            func sign(_ slot: Int) -> Sign {
                guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot] else {
                    return .any
                }
                if isCut(slot) { return .nonNegative }
                if graph.values[value].dependsOnData { return signs[value] }
                if let known = storedSigns[value] { return known }
                let found = max(Self.sign(of: value, in: graph), signs[value])
                storedSigns[value] = found
                return found
            }
            func isChanged(_ slot: Int) -> Bool {
                guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot] else {
                    return false
                }
                return isCut(slot) || isAffected[value]
            }
            var affected = vertex.captured.contains { isAffected[$0] }
            var risky = vertex.captured.contains { isRisky[$0] }
            for (slot, value) in vertex.inputs.enumerated() {
                guard let value else { continue }
                affected = affected || isChanged(slot)
                risky = risky || isRisky[value] && !isCut(slot)
            }
            if affected, !risky { risky = Self.spoils(vertex, graph, cuts, isChanged: isChanged, sign: sign) }
            let result = Self.sign(of: vertex, graph, isCut: isCut, sign: sign)
            for case let output? in vertex.outputs {
                isAffected[output] = affected
                isRisky[output] = risky
                signs[output] = result
            }
        }
        self.isRisky = isRisky
    }

    /// Whether a layer whose input the mask has changed may give what is not finite.
    private static func spoils(
        _ vertex: Vertex, _ graph: Graph, _ cuts: Cuts, isChanged: (Int) -> Bool, sign: (Int) -> Sign
    ) -> Bool {
        switch vertex.operation {
        case "Div": return isChanged(1) && sign(1) < .positive
        case "Reciprocal", "Log", "ReduceLogSum": return sign(0) < .positive
        case "Sqrt": return sign(0) < .nonNegative
        case "Pow":
            guard !isChanged(1), let value = vertex.inputs.last ?? nil,
                let exponents = try? graph.constantData(value)?.doubles
            else { return true }
            return exponents.contains { exponent in
                let isWhole = exponent == exponent.rounded()
                return exponent < 0
                    ? sign(0) < .positive || !isWhole && sign(0) < .nonNegative
                    : !isWhole && sign(0) < .nonNegative
            }
        case "Exp":
            // Without what is subtracted before it, the power may be too large.
            guard let value = vertex.inputs.first ?? nil, let producer = graph.values[value].producer else {
                return false
            }
            return !cuts[producer].isEmpty
        default: return hazards.contains(vertex.operation)
        }
    }

    /// What is certain of a layer's outputs.
    private static func sign(
        of vertex: Vertex, _ graph: Graph, isCut: (Int) -> Bool, sign: (Int) -> Sign
    ) -> Sign {
        let slots = vertex.inputs.indices.filter { vertex.inputs[$0] != nil }
        let least = slots.map(sign).min() ?? .any
        switch vertex.operation {
        case "Relu", "Abs", "Sigmoid", "HardSigmoid", "Exp", "Softmax", "Softplus", "ReduceL1", "ReduceL2",
            "ReduceSumSquare":
            return .nonNegative
        case "Add", "Sum":
            return least == .any ? .any : slots.map(sign).max() ?? .any
        case "Max": return slots.map(sign).max() ?? .any
        case "Min", "Mean", "Concat": return least
        case "Mul":
            if slots.count == 2, vertex.inputs[0] == vertex.inputs[1], isCut(0) == isCut(1),
                least != .positive
            {
                return .nonNegative
            }
            return least
        case "Div": return least == .any ? .any : min(sign(0), sign(1))
        case "Pow":
            guard slots.count == 2, let value = vertex.inputs[1], !isCut(1),
                let exponents = try? graph.constantData(value)?.doubles
            else { return .any }
            if sign(0) == .positive { return .positive }
            return exponents.allSatisfy {
                $0 > 0 && ($0.truncatingRemainder(dividingBy: 2) == 0 || sign(0) == .nonNegative)
            }
                ? .nonNegative : .any
        case "Clip":
            let low: Sign
            if vertex.version < 11 {
                let limit = vertex.node.attribute.first { $0.name == "min" }?.f ?? -.infinity
                low = limit > 0 ? .positive : limit >= 0 ? .nonNegative : .any
            } else {
                low = slots.contains(1) ? sign(1) : .any
            }
            return max(low, sign(0))
        case "Sqrt", "Identity", "Cast", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Expand",
            "Tile",
            "Gather", "Slice", "Split", "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "MaxPool",
            "AveragePool",
            "GlobalAveragePool", "GlobalMaxPool", "Dropout":
            return sign(0)
        default: return .any
        }
    }

    /// What is certain of a constant of the file: large ones are not looked at.
    private static func sign(of value: Int, in graph: Graph) -> Sign {
        guard let data = try? graph.constantData(value), data.count > 0, data.count <= 4096,
            let numbers = data.elementType.isFloatingPoint ? try? data.doubles : nil
        else { return .any }
        return numbers.allSatisfy { $0 > 0 }
            ? .positive : numbers.allSatisfy { $0 >= 0 } ? .nonNegative : .any
    }
}
