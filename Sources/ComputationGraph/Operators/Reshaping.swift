internal import ONNX

/// Operators that give the elements another shape, or repeat them.
extension OperatorFacts {
    static let reshaping: [String: OperatorFacts] = [
        "Expand": OperatorFacts(
            shape: .elements([1]), sizes: expandedSizes, axes: repeatedAxes,
            slicing: { node in node.resize(listedIn: 1) { number, _ in number == 1 } },
            preservesZeros: inFirst,
            zeroOutput: .first,
            sign: signOfFirst, operations: free,
            evaluation: .first { try $0.constant(0)?.withRank($0.outputRank) }),
        "Flatten": OperatorFacts(
            derivedSize: .regrouped, axes: regroupedAxes, preservesZeros: inFirst, zeroOutput: .first,
            sign: signOfFirst,
            operations: free, evaluation: regrouped, simplifications: [keepingRanges]),
        "Reshape": OperatorFacts(
            shape: .elements([1]), sizes: reshapedSizes, sizeElements: elementsOfFirst,
            derivedSize: .regrouped, axes: regroupedAxes, slicing: changingSizes, list: listOfFirst,
            preservesZeros: inFirst,
            zeroOutput: .first, sign: signOfFirst,
            operations: free, evaluation: regrouped, simplifications: [keepingRanges]),
        "Squeeze": OperatorFacts(
            shape: .elements([1]), sizes: squeezedSizes, sizeElements: elementsOfFirst,
            axes: regroupedAxes, list: listOfFirst,
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
            shape: .elements([1]), axes: repeatedAxes, slicing: repeating, preservesZeros: inFirst,
            sign: signOfFirst,
            operations: free,
            evaluation: sameNumber),
        "Transpose": OperatorFacts(
            sizes: transposedSizes, axes: transposedAxes, list: transposedList, preservesZeros: inFirst,
            zeroOutput: .first,
            sign: signOfFirst,
            operations: free, evaluation: .first { try $0.transposed() },
            simplifications: [
                .carrying { input in
                    let order = try input.vertex.node.ints("perm", default: (0..<input.rank).reversed())
                    return input.first(order.firstIndex(of: input.axis))
                }
            ]),
        "Unsqueeze": OperatorFacts(
            shape: .elements([1]), sizes: unsqueezedSizes, sizeElements: elementsOfFirst,
            axes: regroupedAxes, list: listOfFirst,
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

    // MARK: Axes

    private static let transposedAxes: AxisRule = { query in
        guard let shape = query.input(0) else { return nil }
        let order = try query.vertex.node.ints("perm", default: shape.indices.reversed())
        guard order.sorted() == Array(shape.indices) else { return nil }
        var builder = AxisMapBuilder()
        let axes = builder.axes(shape)
        return builder.map(inputs: [axes], outputs: [order.map { axes[$0] }])
    }

    /// Expand and Tile: an axis of the output repeats that of the input as a whole.
    private static let repeatedAxes: AxisRule = { query in
        guard let shape = query.input(0), let target = query.output, shape.count <= target.count else {
            return nil
        }
        let padded = [Int](repeating: 1, count: target.count - shape.count) + shape
        var builder = AxisMapBuilder()
        var (read, written): ([AxisMap.Axis], [AxisMap.Axis]) = ([], [])
        for (size, repeated) in zip(padded, target) {
            guard repeated % size == 0 else { return nil }
            let (copies, own) = (builder.axis(repeated / size), builder.axis(size))
            read.append(own)
            written.append(builder.product(copies, own))
        }
        return builder.map(
            inputs: [Array(read.suffix(shape.count))] + query.inputs.dropFirst().map { _ in nil },
            outputs: [written])
    }

    /// The elements stay in their order: where the axes of both shapes end at a common number of elements, they run through
    /// common dimensions.
    private static let regroupedAxes: AxisRule = { query in
        guard let before = query.input(0), let after = query.output,
            before.reduce(1, *) == after.reduce(1, *)
        else { return nil }
        var builder = AxisMapBuilder()
        let extents = [before, after].map { $0.map { Extent(sizes: [$0]) } }
        guard let groups = AxisGroup.groups(from: extents[0], to: extents[1]) else { return nil }
        var (read, written): ([AxisMap.Axis], [AxisMap.Axis]) = ([], [])
        for group in groups {
            let (own, other) = builder.regrouped(before[group.before], after[group.after])
            read += own
            written += other
        }
        return builder.map(
            inputs: [read] + query.inputs.dropFirst().map { _ in nil }, outputs: [written])
    }

    /// Sizes that are inferred, or copied from the input where that has the new one, stay.
    private static let changingSizes: SlicingRule = { node in
        let copies = try node.vertex.node.int("allowzero", default: 0) == 0
        let rank = node.shape(ofInput: 0)?.count ?? 0
        let changed = node
        node.resize(listedIn: 1) { number, axis in
            number == -1
                || number == 0 && copies && axis < rank
                    && changed.size(ofInput: 0, axis: axis) == changed.size(axis: axis)
        }
    }

    /// An axis may lose some of its copies.
    private static let repeating: SlicingRule = { node in
        guard let before = node.shape(ofInput: 0), let after = node.shape() else { return }
        for axis in after.indices where before.count == after.count {
            let (own, other) = (node.size(ofInput: 0, axis: axis), node.size(axis: axis))
            if own > 0, other / own != after[axis] / max(1, before[axis]) {
                node.replace(1, at: axis, by: other / own)
            }
        }
    }

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

extension AxisMapBuilder {
    /// The axes of two shapes with as many elements in the same order.
    fileprivate mutating func regrouped(
        _ before: ArraySlice<Int>, _ after: ArraySlice<Int>
    ) -> ([AxisMap.Axis], [AxisMap.Axis]) {
        /// The numbers of elements that lie between neighbours along each axis, and all elements.
        func strides(_ sizes: ArraySlice<Int>) -> [Int] {
            sizes.reversed().reduce(into: [1]) { $0.append($0[$0.count - 1] * $1) }
        }
        let cuts = Set(strides(before) + strides(after)).sorted()
        guard zip(cuts, cuts.dropFirst()).allSatisfy({ $1 % $0 == 0 }) else {
            // 4 · 6 as 6 · 4: neither axis goes into the other.
            return (axes(before, .mixed), axes(after, .mixed))
        }
        let steps = axes(zip(cuts, cuts.dropFirst()).map { $1 / $0 })
        func combined(_ sizes: ArraySlice<Int>) -> [AxisMap.Axis] {
            zip(strides(sizes), strides(sizes).dropFirst()).map { start, end in
                product(
                    of: steps.indices.filter { cuts[$0] >= start && cuts[$0] < end }.reversed().map {
                        steps[$0]
                    })
            }.reversed()
        }
        return (combined(before), combined(after))
    }
}
