internal import Glibc
internal import ONNX

/// Reductions along axes, the places of extremes, running sums, the largest elements.
extension OperatorFacts {
    static let reductions: [String: OperatorFacts] = [
        "ArgMax": OperatorFacts(outputType: always(.int64), operations: perInput),
        "ArgMin": OperatorFacts(outputType: always(.int64), operations: perInput),
        "CumProd": OperatorFacts(operations: perInput),
        "CumSum": OperatorFacts(
            sizes: likeFirst, preservesZeros: inFirst, operations: perInput, evaluation: zeroOfZero),
        "ReduceL1": reduction(preservesZeros: inFirst, sign: nonNegative, kind: .summed) {
            data, axes, times in
            total(data, axes, times) { abs($0) }
        },
        "ReduceL2": reduction(preservesZeros: inFirst, sign: nonNegative, kind: .summed) {
            data, axes, times in
            total(data, axes, times) { $0 * $0 }?.mapped { $0.squareRoot() }
        },
        "ReduceLogSum": reduction(spoils: unlessPositive) { data, axes, times in
            total(data, axes, times) { $0 }?.mapped { log($0) }
        },
        "ReduceLogSumExp": reduction(simplifications: [], nil),
        "ReduceMax": reduction(preservesZeros: inFirst, sign: signOfFirst) { data, axes, _ in
            data.folded(over: axes, -.infinity, { max($0, $1) }) { total, _ in total }
        },
        "ReduceMean": reduction(
            preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst, kind: .averaged,
            slicing: keepingCount
        ) { data, axes, _ in
            data.folded(over: axes, 0, +) { $0 / Double($1) }
        },
        "ReduceMin": reduction(preservesZeros: inFirst, sign: signOfFirst) { data, axes, _ in
            data.folded(over: axes, .infinity, { min($0, $1) }) { total, _ in total }
        },
        "ReduceProd": reduction(simplifications: [], nil),
        "ReduceSum": reduction(preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst, kind: .summed)
        {
            data, axes, times in
            total(data, axes, times) { $0 }
        },
        "ReduceSumSquare": reduction(preservesZeros: inFirst, sign: nonNegative, kind: .summed) {
            data, axes, times in
            total(data, axes, times) { $0 * $0 }
        },
        "TopK": OperatorFacts(outputType: firstAnd(.int64), shape: .elements([1]), operations: free),
    ]

    /// Zeros of zeros, and nothing is known of other constants.
    static let zeroOfZero = ConstantRule.first { try $0.constant(0)?.isZero ?? false ? $0.zero : nil }

    private static func reduction(
        preservesZeros: @escaping @Sendable (InputSlot) -> Bool = nowhere, zeroOutput: ZeroOutput = .unknown,
        spoils: (@Sendable (FinitenessRisk.Site) -> Bool)? = nil,
        sign: @escaping @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { _ in .any },
        simplifications: [Simplification] = [otherAxes], kind: AxisMap.Kind = .mixed,
        slicing: SlicingRule? = nil,
        _ function: (@Sendable (Constant, [Int], Double?) -> Constant?)?
    ) -> OperatorFacts {
        OperatorFacts(
            sizes: sizes, axes: reducedAxes(kind), slicing: slicing, preservesZeros: preservesZeros,
            zeroOutput: zeroOutput, spoils: spoils, sign: sign, operations: perInput,
            evaluation: .first { try $0.reduction(function) },
            simplifications: simplifications)
    }

    private static let sizes: SizeRule = { tracing, output in
        guard let first = tracing.input(output.vertex, 0),
            let axes = tracing.axes(output.vertex, rank: first.count)
        else { return nil }
        let keeps = tracing.int(output.vertex, "keepdims", 1) != 0
        return first.indices.filter { keeps || !axes.contains($0) }.map {
            axes.contains($0) ? .known : first[$0]
        }
    }

    private static func reducedAxes(_ kind: AxisMap.Kind) -> AxisRule {
        { query in
            guard let shape = query.input(0),
                let named = try query.axes(rank: shape.count, default: Array(shape.indices))
            else { return nil }
            let isIdle = try named.isEmpty && query.vertex.node.int("noop_with_empty_axes", default: 0) != 0
            let chosen = named.isEmpty && !isIdle ? Array(shape.indices) : named
            let keeps = try query.vertex.node.int("keepdims", default: 1) != 0
            var builder = AxisMapBuilder()
            var axes: [AxisMap.Axis] = []
            for (axis, size) in shape.enumerated() {
                axes.append(builder.axis(size, chosen.contains(axis) ? kind : .separate))
            }
            let output = axes.indices.filter { keeps || !chosen.contains($0) }.map {
                chosen.contains($0) ? AxisMapBuilder.one : axes[$0]
            }
            return builder.map(inputs: [axes] + query.inputs.dropFirst().map { _ in nil }, outputs: [output])
        }
    }

    /// A mean stays the sum over as many as there were: of zeros where some went.
    private static let keepingCount: SlicingRule = { node in
        guard let shape = node.shape(ofInput: 0), let kept = node.shape() else { return }
        let rank = shape.count
        let named = try node.vertex.node.ints("axes", default: nil) ?? node.numbers(1) ?? []
        let chosen = named.isEmpty ? Array(shape.indices) : named.map { $0 < 0 ? $0 + rank : $0 }
        guard kept.count < rank || kept != shape else { return }
        let before = chosen.reduce(1) { $0 * shape[$1] }
        let after = chosen.reduce(1) { $0 * node.size(ofInput: 0, axis: $1) }
        if after != before, before > 0 { node.multiplyOutput(by: Double(after) / Double(before)) }
    }

    /// Positions along axes that are not reduced stay apart.
    private static let otherAxes = Simplification.carrying { input in
        guard let axes = try input.evaluation.axes(slot: 1, rank: input.rank, default: []), !axes.isEmpty,
            !axes.contains(input.axis)
        else { return nil }
        let keeps = try input.vertex.node.int("keepdims", default: 1) != 0
        return input.first(keeps ? input.axis : input.axis - axes.filter { $0 < input.axis }.count)
    }

    /// The sum of a function of the elements along axes, where each stands so many times.
    private static func total(
        _ data: Constant, _ axes: [Int], _ times: Double?, _ element: (Double) -> Double
    ) -> Constant? {
        guard let times = times ?? (data.isZero ? 1 : nil) else { return nil }
        return data.mapped(element).folded(over: axes, 0, +) { total, _ in total * times }
    }
}

extension Evaluation {
    /// Reductions; repeated elements count as often as they stand.
    ///
    /// - Parameter function: gives the result, with axes of size 1, of a constant, the axes and how often each element of the
    ///   constant stands along them; `nil` where that is not known.
    fileprivate func reduction(
        _ function: ((Constant, [Int], Double?) -> Constant?)?
    ) throws -> Constant? {
        guard let data = try constant(0), let extents = inputs[0].extents, extents.count == data.rank else {
            return nil
        }
        if try vertex.node.int("noop_with_empty_axes", default: 0) != 0 { return nil }
        guard let axes = try axes(slot: 1, rank: data.rank, default: Array(0..<data.rank)) else { return nil }
        let chosen = axes.isEmpty ? Array(0..<data.rank) : axes
        var times: Double? = 1
        for axis in chosen {
            times = times.flatMap { times in
                extents[axis].fixed.map { times * Double($0) / Double(data.shape[axis]) }
            }
        }
        let result = function?(data, chosen, times)
        guard let result, try vertex.node.int("keepdims", default: 1) == 0 else { return result }
        return result.reshaped(result.shape.indices.filter { !chosen.contains($0) }.map { result.shape[$0] })
    }
}
