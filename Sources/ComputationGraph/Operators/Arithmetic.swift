internal import Glibc
internal import ONNX

/// Arithmetic, comparisons, logic and choices: functions of corresponding elements of operands that broadcast.
extension OperatorFacts {
    static let arithmetic: [String: OperatorFacts] = [
        "Add": addition,
        "And": elementwise(
            outputType: always(.bool),
            evaluation: .first {
                if $0.isZero(0) || $0.isZero(1) { return $0.zero }
                return try $0.elementwise { _, count in
                    count == 2 ? { $0[0] != 0 && $0[1] != 0 ? 1 : 0 } : nil
                }
            }),
        "BitShift": OperatorFacts(axes: alignedAxes),
        "BitwiseAnd": OperatorFacts(axes: alignedAxes),
        "BitwiseOr": OperatorFacts(axes: alignedAxes),
        "BitwiseXor": OperatorFacts(axes: alignedAxes),
        "Div": division,
        "Equal": comparison { $0 == $1 },
        "Greater": comparison { $0 > $1 },
        "GreaterOrEqual": comparison { $0 >= $1 },
        "Less": comparison { $0 < $1 },
        "LessOrEqual": comparison { $0 <= $1 },
        "Max": elementwise(
            sizeElements: sizes, sign: { $0.most }, joinsBranches: true,
            evaluation: .variadic { $0.reduce(-.infinity) { $1.isNaN ? $1 : Swift.max($0, $1) } }),
        "Mean": elementwise(
            sign: signOfAll, joinsBranches: true,
            evaluation: .variadic { $0.reduce(0, +) / Double($0.count) }),
        "Min": elementwise(
            sizeElements: sizes, sign: signOfAll,
            evaluation: .variadic { $0.reduce(.infinity) { $1.isNaN ? $1 : Swift.min($0, $1) } }),
        "Mod": elementwise(
            list: list { $1 > 0 && $0 >= 0 ? $0 % $1 : nil }, roundsSizes: true, spoils: anywhere),
        "Mul": multiplication,
        "Or": comparison { $0 != 0 || $1 != 0 },
        "Pow": power,
        "Sub": subtraction,
        "Sum": sum,
        "Where": choice,
        "Xor": comparison { ($0 != 0) != ($1 != 0) },
    ]

    /// A function of corresponding elements.
    private static func elementwise(
        outputType: @escaping @Sendable (OutputTyping) -> ElementType? = { $0.input(0) },
        sizeElements: SizeElementRule? = nil, list: ListRule? = nil, roundsSizes: Bool = false,
        preservesZeros: @escaping @Sendable (InputSlot) -> Bool = nowhere, zeroOutput: ZeroOutput = .unknown,
        spoils: (@Sendable (FinitenessRisk.Site) -> Bool)? = nil,
        sign: @escaping @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { _ in .any },
        operations: @escaping @Sendable (FloatingPointOperations) -> Int = { $0.outputElements },
        joinsBranches: Bool = false, affine: AffineForm? = nil, trained: TrainedOperands = .none,
        evaluation: ConstantRule? = nil, neutral: [Simplification] = []
    ) -> OperatorFacts {
        OperatorFacts(
            outputType: outputType, broadcasts: true, sizes: broadcast, sizeElements: sizeElements,
            axes: alignedAxes, list: list, roundsSizes: roundsSizes,
            preservesZeros: preservesZeros, zeroOutput: zeroOutput, spoils: spoils, sign: sign,
            operations: operations, joinsBranches: joinsBranches, affine: affine, trained: trained,
            evaluation: evaluation, simplifications: neutral + [.carryingBroadcast, .broadcasting])
    }

    private static func comparison(_ holds: @escaping @Sendable (Double, Double) -> Bool) -> OperatorFacts {
        elementwise(outputType: always(.bool), evaluation: .binary { holds($0, $1) ? 1 : 0 })
    }

    /// Arithmetic on sizes gives a size that may be open where an operand is.
    private static let sizes: SizeElementRule = { tracing, vertex in
        let operands = vertex.inputs.indices.compactMap { tracing.given(vertex, $0) }
        guard operands.count == vertex.inputs.count, let count = operands.map(\.count).max() else {
            return nil
        }
        guard operands.allSatisfy({ $0.count == count || $0.count == 1 }) else { return nil }
        var elements: [SizeTracing.Size] = []
        for index in 0..<count {
            let isOpen = operands.contains { $0[$0.count == 1 ? 0 : index].isOpen }
            elements.append(isOpen ? tracing.newSize() : .known)
        }
        return elements
    }

    // MARK: Sums

    private static let addition = elementwise(
        sizeElements: sizes, list: list { exact($0.addingReportingOverflow($1)) }, zeroOutput: .all,
        sign: signOfSum, joinsBranches: true,
        affine: .sum, trained: .addends,
        evaluation: .variadic { $0.reduce(0, +) }, neutral: [withoutZeros])

    private static let sum = elementwise(
        zeroOutput: .all, sign: signOfSum, joinsBranches: true, affine: .sum,
        trained: .addends,
        evaluation: .variadic { $0.reduce(0, +) }, neutral: [withoutZeros])

    private static let subtraction = elementwise(
        sizeElements: sizes, list: list { exact($0.subtractingReportingOverflow($1)) }, zeroOutput: .all,
        affine: .difference,
        evaluation: .binary { $0 - $1 },
        neutral: [negation, .keeping { $0.isFilled(1, with: 0) ? $0.present[0] : nil }])

    private static let signOfSum: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = {
        $0.least == .any ? .any : $0.most
    }

    /// x + 0 is x.
    private static let withoutZeros = Simplification.keeping { operands in
        let remaining = operands.present.filter { !($0.constant?.isZero ?? false) }
        return remaining.count == 1 ? remaining[0] : nil
    }

    /// 0 - x is -x.
    private static let negation = Simplification { rewriter, vertex, operands in
        let known = KnownOperands(present: operands.compactMap { $0 })
        guard let output = vertex.outputs.first ?? nil, let target = rewriter.extents(of: output),
            known.isFilled(0, with: 0), known.present.count == 2, known.present[1].extents == target
        else { return false }
        let name = rewriter.graph.values[output].name
        rewriter.emit("Neg", [try rewriter.explicit(known.present[1])], output: name)
        rewriter.forms[output] = .tensor(name)
        return true
    }

    // MARK: Products and quotients

    private static let multiplication = elementwise(
        sizeElements: sizes, list: list { exact($0.multipliedReportingOverflow(by: $1)) },
        preservesZeros: everywhere, zeroOutput: .either,
        sign: signOfProduct,
        affine: .product, trained: .factors,
        evaluation: .first {
            // A zero factor decides the product whatever the other one is.
            if $0.hasZeroFactor { return $0.zero }
            return try $0.elementwise { _, _ in { $0.reduce(1, *) } }
        },
        neutral: [
            .keeping {
                $0.isFilled(0, with: 1) ? $0.present[1] : $0.isFilled(1, with: 1) ? $0.present[0] : nil
            }
        ])

    /// A square is nowhere negative.
    private static let signOfProduct: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { site in
        let inputs = site.vertex.inputs
        if site.slots.count == 2, inputs[0] == inputs[1], site.isCut[0] == site.isCut[1],
            site.least != .positive
        {
            return .nonNegative
        }
        return site.least
    }

    private static let division = elementwise(
        sizeElements: sizes, list: list { exact($0.dividedReportingOverflow(by: $1)) }, roundsSizes: true,
        preservesZeros: { input in
            input.slot == 0 && input.constants(1).map { !$0.isEmpty && !$0.contains(0) } ?? false
        }, zeroOutput: .first, spoils: { $0.isChanged(1) && $0.sign(1) < .positive },
        sign: { $0.least == .any ? .any : min($0.sign(0), $0.sign(1)) }, affine: .quotient,
        evaluation: .binary { $0 / $1 },
        neutral: [withoutOne])

    /// x / 1 and x¹ are x.
    private static let withoutOne = Simplification.keeping {
        $0.isFilled(1, with: 1) ? $0.present[0] : nil
    }

    private static let power = elementwise(
        spoils: powerSpoils, sign: signOfPower, evaluation: .binary { pow($0, $1) }, neutral: [withoutOne])

    /// Zero to a negative power is infinite, a negative number to a broken power is NaN.
    private static let powerSpoils: @Sendable (FinitenessRisk.Site) -> Bool = { site in
        guard !site.isChanged(1), let exponents = site.constants(site.vertex.inputs.count - 1) else {
            return true
        }
        return exponents.contains { exponent in
            let isWhole = exponent == exponent.rounded()
            return exponent < 0
                ? site.sign(0) < .positive || !isWhole && site.sign(0) < .nonNegative
                : !isWhole && site.sign(0) < .nonNegative
        }
    }

    private static let signOfPower: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { site in
        guard site.slots.count == 2, !site.isCut[1], let exponents = site.constants(1) else { return .any }
        if site.sign(0) == .positive { return .positive }
        return exponents.allSatisfy {
            $0 > 0 && ($0.truncatingRemainder(dividingBy: 2) == 0 || site.sign(0) == .nonNegative)
        }
            ? .nonNegative : .any
    }

    // MARK: Choices

    /// Where takes an element of its second or third input, as the first says.
    private static let choice = elementwise(
        outputType: typeOf(1), operations: free, evaluation: .first { try $0.whereElements() },
        neutral: [
            .keeping {
                $0.isFilled(0, with: 1) ? $0.present[1] : $0.isFilled(0, with: 0) ? $0.present[2] : nil
            }
        ])
}

extension Evaluation {
    fileprivate func whereElements() throws -> Constant? {
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
}

extension NodeProto {
    /// A node that adds two tensors.
    static func addition(_ inputs: [String], output: String, name: String) -> NodeProto {
        var node = NodeProto()
        (node.opType, node.name, node.input, node.output) = ("Add", name, inputs, [output])
        return node
    }

    /// Elements of one operand where a condition holds, of another one elsewhere.
    static func choice(
        _ condition: String, _ chosen: String, _ other: String, output: String, name: String
    ) -> NodeProto {
        NodeProto("Where", inputs: [condition, chosen, other], outputs: [output], name: name)
    }

    /// One value times another, element by element.
    static func product(_ left: String, _ right: String, output: String, name: String) -> NodeProto {
        NodeProto("Mul", inputs: [left, right], outputs: [output], name: name)
    }

    /// One value over another, element by element; of whole numbers the quotient without the rest.
    static func quotient(_ left: String, _ right: String, output: String, name: String) -> NodeProto {
        NodeProto("Div", inputs: [left, right], outputs: [output], name: name)
    }
}
