internal import ONNX

/// Operators that give the elements another shape, or repeat them.
extension OperatorFacts {
    static let reshaping: [String: OperatorFacts] = [
        "Expand": OperatorFacts(
            shape: .elements([1]), sizes: expandedSizes, preservesZeros: inFirst, zeroOutput: .first,
            sign: signOfFirst, operations: free,
            evaluation: .first { try $0.constant(0)?.withRank($0.outputRank) }),
        "Flatten": OperatorFacts(
            derivedSize: .regrouped, preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst,
            operations: free, evaluation: regrouped, simplifications: [keepingRanges]),
        "Reshape": OperatorFacts(
            shape: .elements([1]), sizes: reshapedSizes, sizeElements: elementsOfFirst,
            derivedSize: .regrouped, preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst,
            operations: free, evaluation: regrouped, simplifications: [keepingRanges]),
        "Squeeze": OperatorFacts(
            shape: .elements([1]), sizes: squeezedSizes, sizeElements: elementsOfFirst,
            preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst, operations: free,
            evaluation: regrouped,
            simplifications: [
                .carrying { input in
                    let axes = try input.evaluation.axes(slot: 1, rank: input.rank, default: [])
                    guard let axes, !axes.isEmpty else { return nil }
                    return input.first(input.axis - axes.filter { $0 < input.axis }.count)
                }
            ]),
        "Tile": OperatorFacts(
            shape: .elements([1]), preservesZeros: inFirst, sign: signOfFirst, operations: free,
            evaluation: sameNumber),
        "Transpose": OperatorFacts(
            sizes: transposedSizes, preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst,
            operations: free, evaluation: .first { try $0.transposed() },
            simplifications: [
                .carrying { input in
                    let order = try input.vertex.node.ints("perm", default: (0..<input.rank).reversed())
                    return input.first(order.firstIndex(of: input.axis))
                }
            ]),
        "Unsqueeze": OperatorFacts(
            shape: .elements([1]), sizes: unsqueezedSizes, sizeElements: elementsOfFirst,
            preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst, operations: free,
            evaluation: regrouped,
            simplifications: [
                .carrying { input in
                    let rank = input.target.count
                    guard let axes = try input.evaluation.axes(slot: 1, rank: rank, default: []) else {
                        return nil
                    }
                    return input.first((0..<rank).filter { !axes.contains($0) }.dropFirst(input.axis).first)
                }
            ]),
    ]

    private static let regrouped = ConstantRule.first { try $0.regrouped() }

    /// What is one number everywhere stays that number.
    static let sameNumber = ConstantRule.first { evaluation in
        try evaluation.constant(0)?.single.map {
            Constant(evaluation.outputs[0].elementType, rank: evaluation.outputRank, filledWith: $0)
        }
    }

    /// A reshape that keeps the ranges of a partly constant input together.
    private static let keepingRanges = Simplification.partial { try $0.rewriteReshape($1, $2, $3) }

    // MARK: Sizes

    private static let expandedSizes: SizeRule = { tracing, output in
        let vertex = output.vertex
        guard let first = tracing.input(vertex, 0), let target = tracing.given(vertex, 1) else { return nil }
        let wanted = tracing.numbers(vertex, 1) ?? target.map { _ in 0 }
        let rank = max(first.count, target.count)
        var sizes: [SizeTracing.Size] = []
        for axis in 0..<rank {
            var met: [(size: SizeTracing.Size, isOne: Bool, isFixed: Bool)] = []
            let (own, other) = (axis - (rank - first.count), axis - (rank - target.count))
            if own >= 0 { met.append((first[own], false, false)) }
            if other >= 0 { met.append((target[other], wanted[other] == 1, wanted[other] > 1)) }
            sizes.append(tracing.joined(met))
        }
        return sizes
    }

    /// What is written down is certain, the rest is what the input leaves.
    private static let reshapedSizes: SizeRule = { tracing, output in
        guard let input = tracing.input(output.vertex, 0), let target = tracing.given(output.vertex, 1) else {
            return nil
        }
        let copies = tracing.int(output.vertex, "allowzero", 0) == 0
        var result: [SizeTracing.Size] = []
        for (axis, size) in target.enumerated() {
            switch size {
            case .zero: result.append(copies && input.indices.contains(axis) ? input[axis] : .known)
            default: result.append(size)
            }
        }
        guard let inferred = result.firstIndex(of: .rest) else { return result }
        var left = input.filter(\.isOpen)
        var isMatched = true
        for size in result where size.isOpen {
            if let place = left.firstIndex(of: size) { left.remove(at: place) } else { isMatched = false }
        }
        result[inferred] = isMatched && left.isEmpty ? .known : tracing.newSize()
        return result
    }

    private static let squeezedSizes: SizeRule = { tracing, output in
        guard let first = tracing.input(output.vertex, 0),
            let axes = tracing.axes(output.vertex, rank: first.count)
        else { return nil }
        return first.indices.filter { !axes.contains($0) }.map { first[$0] }
    }

    private static let unsqueezedSizes: SizeRule = { tracing, output in
        guard let first = tracing.input(output.vertex, 0),
            let axes = tracing.axes(output.vertex, rank: tracing.rank(of: output.value) ?? 0)
        else { return nil }
        var rest = first.makeIterator()
        return (0..<first.count + axes.count).map { axes.contains($0) ? .known : rest.next() ?? .known }
    }

    private static let transposedSizes: SizeRule = { tracing, output in
        guard let first = tracing.input(output.vertex, 0) else { return nil }
        let order = (try? output.vertex.node.ints("perm", default: nil)) ?? first.indices.reversed()
        return order.sorted() == Array(first.indices) ? order.map { first[$0] } : nil
    }
}

extension Evaluation {
    fileprivate func transposed() throws -> Constant? {
        guard let data = try constant(0) else { return nil }
        let permutation = try vertex.node.ints("perm", default: Array((0..<data.rank).reversed()))
        return permutation.sorted() == Array(0..<data.rank) ? data.transposed(permutation) : nil
    }

    /// The constant in output 0's shape, through the groups of axes that correspond.
    fileprivate func regrouped() throws -> Constant? {
        guard let data = try constant(0), let before = inputs[0].extents, let after = outputs[0].extents,
            let groups = AxisGroup.groups(from: before, to: after)
        else { return nil }
        var source = data.shape
        var target = [Int](repeating: 1, count: after.count)
        for group in groups where !group.before.allSatisfy({ data.shape[$0] == 1 }) {
            for axis in group.before {
                guard let size = before[axis].fixed else { return nil }
                source[axis] = size
            }
            for axis in group.after {
                guard let size = after[axis].fixed else { return nil }
                target[axis] = size
            }
        }
        return data.expanded(to: source)?.reshaped(target)
    }
}

extension Rewriter {
    /// Reshaping that keeps the ranges of a partial value together.
    fileprivate mutating func rewriteReshape(
        _ vertex: Vertex, _ operands: [Operand?], _ partial: Partial
    ) throws -> Bool {
        guard let operand = operands[0], let before = operand.extents,
            let output = vertex.outputs.first ?? nil,
            let after = extents(of: output),
            let group = AxisGroup.groups(from: before, to: after)?.first(where: {
                $0.before.contains(partial.axis)
            }),
            before[group.before.lowerBound..<partial.axis].allSatisfy({ $0.fixed == 1 }),
            let axis = group.after.first(where: { after[$0].fixed != 1 }),
            let length = after[axis].fixed
        else { return false }
        let innerBefore = before[(partial.axis + 1)..<group.before.upperBound].map(\.fixed)
        let innerAfter = after[(axis + 1)..<group.after.upperBound].map(\.fixed)
        guard !innerBefore.contains(nil), !innerAfter.contains(nil) else { return false }
        let (times, over) = (
            innerBefore.reduce(1) { $0 * ($1 ?? 1) }, innerAfter.reduce(1) { $0 * ($1 ?? 1) }
        )
        guard partial.segments.allSatisfy({ $0.length * times % over == 0 }) else { return false }
        var segments: [Partial.Segment] = []
        for segment in partial.segments {
            let size = segment.length * times / over
            guard let constant = segment.constant else {
                segments.append(.init(length: size, constant: nil))
                continue
            }
            var (source, target) = (before, after)
            source[partial.axis] = shapes.fixed(segment.length)
            target[axis] = shapes.fixed(size)
            let evaluation = Evaluation(
                vertex: vertex, inputs: [.init(source: .constant(constant), extents: source)],
                outputs: [.init(extents: target, elementType: constant.elementType)], originals: originals)
            guard let result = try evaluation.results()?.first else { return false }
            segments.append(.init(length: size, constant: result))
        }
        let tensor = packed(partial, value: operand.value)
        let name = names("\(graph.values[output].name)/kept")
        if vertex.operation == "Flatten" {
            emit(copyOf: vertex, inputs: [tensor], outputs: [name])
        } else {
            var target = after
            target[axis] = shapes.fixed(length * partial.liveLength / partial.length)
            let unknown = target.indices.filter { target[$0].fixed == nil }
            let shape =
                unknown.count <= 1
                ? try integers(target.map { $0.fixed ?? -1 }, hint: "sizes")
                : try shapeTensor(target, of: output)
            emit(copyOf: vertex, inputs: [tensor, shape], outputs: [name])
        }
        let result = Partial(axis: axis, segments: segments, packing: .packed(name))
        forms[output] = .partial(result.repacked(name, axis: axis) { $0 })
        return true
    }
}
