internal import BitCollections
internal import ONNX

/// Operators that join tensors along an axis and take them apart.
extension OperatorFacts {
    static let slicing: [String: OperatorFacts] = [
        "Concat": OperatorFacts(
            sizes: joinedSizes, sizeElements: joinedElements, axes: joinedAxes, list: joinedList,
            zeroOutput: .all,
            sign: signOfAll,
            operations: free, joinsBranches: true, trained: .addends,
            evaluation: .first { try $0.concatenation() },
            simplifications: [Simplification { try $0.rewriteConcat($1, $2) }]),
        "Slice": OperatorFacts(
            shape: .elements([1, 2, 3, 4]), sizes: slicedSizes, sizeElements: slicedElements,
            axes: slicedAxes, slicing: movingBounds, list: slicedList,
            preservesZeros: inFirst, zeroOutput: .first, sign: signOfFirst, operations: free,
            evaluation: .first { try $0.sliced() },
            simplifications: [
                .partial { try $0.rewriteSlice($1, $2, $3) },
                .carrying { input in
                    let axes =
                        input.vertex.version < 10
                        ? try input.vertex.node.ints("axes", default: nil)
                        : input.evaluation.isPresent(3) ? try input.evaluation.integers(3) : nil
                    return input.same(
                        axes.map { !$0.contains(input.axis) && !$0.contains(input.axis - input.rank) }
                            ?? false)
                },
            ]),
        "Split": OperatorFacts(
            shape: .elements([1]), sizes: splitSizes, axes: splitAxes, slicing: countingParts,
            sign: signOfFirst, operations: free,
            evaluation: ConstantRule { try $0.split() },
            simplifications: [.partial { try $0.rewriteSplit($1, $2, $3) }]),
    ]

    // MARK: Axes

    private static let joinedAxes: AxisRule = { query in
        guard let target = query.output, let axis = try query.axis(default: 1, rank: target.count) else {
            return nil
        }
        var builder = AxisMapBuilder()
        let common = builder.axes(target)
        var inputs: [[AxisMap.Axis]?] = []
        var runs: [AxisMap.Axis] = []
        for shape in query.inputs {
            guard let shape, shape.count == target.count else { return nil }
            var axes = common
            axes[axis] = builder.run(shape[axis])
            runs.append(axes[axis])
            inputs.append(axes)
        }
        var output = common
        output[axis] = builder.sequence(runs)
        return builder.map(inputs: inputs, outputs: [output])
    }

    private static let splitAxes: AxisRule = { query in
        guard let shape = query.input(0), let axis = try query.axis(default: 0, rank: shape.count) else {
            return nil
        }
        var builder = AxisMapBuilder()
        let common = builder.axes(shape)
        var outputs: [[AxisMap.Axis]?] = []
        var runs: [AxisMap.Axis] = []
        for part in query.outputs {
            guard let part, part.count == shape.count else { return nil }
            var axes = common
            axes[axis] = builder.run(part[axis])
            runs.append(axes[axis])
            outputs.append(axes)
        }
        var input = common
        input[axis] = builder.sequence(runs)
        return builder.map(inputs: [input] + query.inputs.dropFirst().map { _ in nil }, outputs: outputs)
    }

    /// With a step of 1 an axis has what is cut off before, what is kept, and what is cut off behind. With another step
    /// nothing is said of it.
    private static let slicedAxes: AxisRule = { query in
        let vertex = query.vertex
        guard let shape = query.input(0), let target = query.output, shape.count == target.count else {
            return nil
        }
        let isOld = vertex.version < 10
        let starts = isOld ? try vertex.node.ints("starts") : query.integers(1)
        let named = isOld ? try vertex.node.ints("axes", default: nil) : query.integers(3)
        let steps = isOld ? nil : query.integers(4)
        let isGiven = { (slot: Int) in vertex.inputs.count > slot && vertex.inputs[slot] != nil }
        guard let starts, isOld || (named != nil) == isGiven(3), isOld || (steps != nil) == isGiven(4) else {
            return nil
        }
        let axes = (named ?? Array(starts.indices)).map { $0 < 0 ? $0 + shape.count : $0 }
        guard axes.count == starts.count, axes.allSatisfy(shape.indices.contains),
            Set(axes).count == axes.count
        else { return nil }
        var builder = AxisMapBuilder()
        var (read, written): ([AxisMap.Axis], [AxisMap.Axis]) = ([], [])
        for (axis, size) in shape.enumerated() {
            guard let place = axes.firstIndex(of: axis), target[axis] != size || steps?[place] ?? 1 != 1
            else {
                read.append(builder.axis(size))
                written.append(read[axis])
                continue
            }
            guard steps?[place] ?? 1 == 1 else {
                read.append(builder.axis(size, .mixed))
                written.append(builder.axis(target[axis], .mixed))
                continue
            }
            let start = min(max(starts[place] < 0 ? starts[place] + size : starts[place], 0), size)
            guard start + target[axis] <= size else { return nil }
            let runs = [start, target[axis], size - start - target[axis]].map {
                $0 > 0 ? builder.run($0) : nil
            }
            read.append(builder.sequence(runs.compactMap { $0 }))
            written.append(runs[1] ?? AxisMapBuilder.one)
        }
        return builder.map(
            inputs: [read] + query.inputs.dropFirst().map { _ in nil }, outputs: [written])
    }

    /// What is kept begins and ends earlier.
    private static let movingBounds: SlicingRule = { sliced in
        let vertex = sliced.vertex
        guard let shape = sliced.shape(ofInput: 0), let target = sliced.shape() else { return }
        let isOld = vertex.version < 10
        guard let starts = isOld ? try vertex.node.ints("starts") : sliced.numbers(1) else { return }
        let ends = isOld ? try vertex.node.ints("ends") : starts
        let named = isOld ? try vertex.node.ints("axes", default: nil) : sliced.numbers(3)
        var (first, last) = (starts, ends)
        for (place, axis) in (named ?? Array(starts.indices)).map({ $0 < 0 ? $0 + shape.count : $0 })
            .enumerated()
        {
            let lost = sliced.lost(ofInput: 0, axis: axis)
            guard lost.count > 0 else { continue }
            let start = min(
                max(starts[place] < 0 ? starts[place] + shape[axis] : starts[place], 0), shape[axis])
            first[place] = start - lost.count { $0 < start }
            last[place] = first[place] + target[axis] - sliced.lost(axis: axis).count
            if !isOld {
                sliced.replace(1, at: place, by: first[place])
                sliced.replace(2, at: place, by: last[place])
            }
        }
        if isOld {
            sliced.set("starts", first)
            sliced.set("ends", last)
        }
    }

    /// Parts have the sizes that are left of them.
    private static let countingParts: SlicingRule = { node in
        let vertex = node.vertex
        guard let rank = node.shape(ofInput: 0)?.count else { return }
        let named = try vertex.node.int("axis", default: 0)
        let axis = named < 0 ? named + rank : named
        let sizes = vertex.outputs.indices.map { node.size(ofOutput: $0, axis: axis) }
        guard sizes.indices.contains(where: { node.lost(ofOutput: $0, axis: axis).count > 0 }) else { return }
        if vertex.version < 13 {
            node.set("split", sizes)
        } else if vertex.node.input.count > 1, !vertex.node.input[1].isEmpty {
            for (place, size) in sizes.enumerated() { node.replace(1, at: place, by: size) }
        } else {
            node.remove("num_outputs")
            node.give(1, sizes)
        }
    }

    // MARK: Sizes

    private static let joinedSizes: SizeRule = { tracing, output in
        let vertex = output.vertex
        guard let first = tracing.input(vertex, 0) else { return nil }
        let axis = tracing.int(vertex, "axis", 1)
        let own = axis < 0 ? axis + first.count : axis
        let all = vertex.inputs.indices.compactMap { tracing.input(vertex, $0) }
        guard all.count == vertex.inputs.count, all.allSatisfy({ $0.count == first.count }) else {
            return nil
        }
        var sizes: [SizeTracing.Size] = []
        for place in first.indices {
            let met = all.map { $0[place] }
            // Operands agree off the axis, so any of them that is known tells.
            if place != own {
                sizes.append(met.contains(.known) ? .known : met[0])
            } else {
                sizes.append(met.contains(where: \.isOpen) ? tracing.newSize() : .known)
            }
        }
        return sizes
    }

    private static let joinedElements: SizeElementRule = { tracing, vertex in
        let parts = vertex.inputs.indices.map { tracing.given(vertex, $0) }
        guard !parts.contains(where: { $0 == nil }),
            vertex.inputs.allSatisfy({ tracing.rank(of: $0) == 1 })
        else { return nil }
        return parts.flatMap { $0 ?? [] }
    }

    private static let splitSizes: SizeRule = { tracing, output in
        guard let first = tracing.input(output.vertex, 0) else { return nil }
        let axis = tracing.int(output.vertex, "axis", 0)
        return tracing.opened(first, along: [axis < 0 ? axis + first.count : axis])
    }

    private static let slicedSizes: SizeRule = { tracing, output in
        let vertex = output.vertex
        guard let first = tracing.input(vertex, 0) else { return nil }
        let isStored =
            vertex.version < 10
            || (1..<vertex.inputs.count).allSatisfy { tracing.numbers(vertex, $0) != nil }
        guard isStored else { return nil }
        let named =
            vertex.version < 10
            ? try? vertex.node.ints("axes", default: nil)
            : tracing.numbers(vertex, 3) ?? Array(first.indices)
        guard let named else { return nil }
        return tracing.opened(first, along: named.map { $0 < 0 ? $0 + first.count : $0 })
    }

    private static let slicedElements: SizeElementRule = { tracing, vertex in
        guard let data = tracing.given(vertex, 0), tracing.rank(of: tracing.value(vertex, 0)) == 1,
            vertex.inputs.count <= 4 || tracing.numbers(vertex, 4) == [1],
            let start = tracing.numbers(vertex, 1)?.first, let end = tracing.numbers(vertex, 2)?.first,
            let positions = Evaluation.positions(from: start, to: end, by: 1, size: data.count)
        else { return nil }
        return positions.map { data[$0] }
    }
}

extension Evaluation {
    /// The parts of a constant that Split makes.
    fileprivate func split() throws -> [Constant]? {
        guard let data = try constant(0) else { return nil }
        guard let axis = try vertex.axis(default: 0, rank: data.rank) else { return nil }
        var start = 0
        var parts: [Constant] = []
        for output in outputs {
            guard let extents = output.extents, extents.count == data.rank else { return nil }
            guard data.shape[axis] != 1 else {
                parts.append(data)
                continue
            }
            guard let length = extents[axis].fixed, start + length <= data.shape[axis] else { return nil }
            parts.append(data.selecting(Array(start..<start + length), axis: axis))
            start += length
        }
        return parts
    }

    fileprivate func concatenation() throws -> Constant? {
        guard let axis = try vertex.axis(default: 1, rank: outputRank) else { return nil }
        var parts: [(constant: Constant, length: Int)] = []
        for slot in inputs.indices {
            guard let part = try constant(slot), part.rank == outputRank else { return nil }
            // Axes of unknown length can only be joined where all is the same number.
            parts.append((part, inputs[slot].extents?[axis].fixed ?? -1))
        }
        if parts.contains(where: { $0.length < 0 }) {
            guard let first = parts.first?.constant, first.shape[axis] == 1,
                parts.allSatisfy({ $0.constant == first })
            else { return nil }
            return first
        }
        return Constant.joined(parts, axis: axis)
    }

    fileprivate func sliced() throws -> Constant? {
        guard let data = try constant(0) else { return nil }
        var starts: [Int]
        var ends: [Int]
        var axes: [Int]
        var steps: [Int]
        if vertex.version < 10 {
            starts = try vertex.node.ints("starts")
            ends = try vertex.node.ints("ends")
            axes = try vertex.node.ints("axes", default: Array(starts.indices))
            steps = starts.map { _ in 1 }
        } else {
            guard data.count > 1 else { return data }
            guard let first = try integers(1), let second = try integers(2) else { return nil }
            (starts, ends) = (first, second)
            axes = isPresent(3) ? try integers(3) ?? [] : Array(starts.indices)
            steps = isPresent(4) ? try integers(4) ?? [] : starts.map { _ in 1 }
        }
        guard starts.count == ends.count, axes.count == starts.count, steps.count == starts.count else {
            return nil
        }
        var result = data
        for (index, axis) in axes.enumerated() {
            let axis = axis < 0 ? axis + data.rank : axis
            let size = data.shape[axis]
            guard size != 1 else { continue }
            guard
                let positions = Self.positions(
                    from: starts[index], to: ends[index], by: steps[index], size: size)
            else { return nil }
            result = result.selecting(positions, axis: axis)
        }
        return result
    }

    /// The positions that Slice takes from an axis of `size`; `nil` for a step of 0.
    static func positions(from start: Int, to end: Int, by step: Int, size: Int) -> [Int]? {
        guard step != 0 else { return nil }
        func clamped(_ index: Int, _ low: Int, _ high: Int) -> Int {
            let index = index < 0 ? index &+ size : index
            return Swift.min(Swift.max(index, low), high)
        }
        if step > 0 {
            return Array(stride(from: clamped(start, 0, size), to: clamped(end, 0, size), by: step))
        }
        let last = end < -size ? -1 : clamped(end, -1, size - 1)
        return Array(stride(from: clamped(start, 0, size - 1), to: last, by: step))
    }
}

extension Rewriter {
    /// A concatenation with constant operands: the rest, and a note of where the constants belong.
    fileprivate mutating func rewriteConcat(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil, let target = extents(of: output) else { return false }
        var axis = try vertex.node.int("axis", default: 1)
        if axis < 0 { axis += target.count }
        var segments: [Partial.Segment] = []
        var pieces: [String] = []
        for case let operand? in operands {
            guard let length = operand.extents?[axis].fixed else { return false }
            switch operand.form {
            case .uniform(let constant) where constant.count == constant.shape[axis]:
                segments.append(.init(length: length, constant: constant))
            case .partial(let partial) where partial.axis == axis:
                segments += partial.segments
                pieces += try self.pieces(of: partial)
            default:
                // A constant that varies along other axes is written once here, not once for every consumer.
                segments.append(.init(length: length, constant: nil))
                pieces.append(try explicit(operand))
            }
        }
        guard segments.contains(where: { !$0.isLive }), !pieces.isEmpty else { return false }
        forms[output] = .partial(Partial(axis: axis, segments: segments, packing: .pieces(pieces)))
        return true
    }

    /// Split along the axis of a partial value.
    fileprivate mutating func rewriteSplit(
        _ vertex: Vertex, _ operands: [Operand?], _ partial: Partial
    ) throws -> Bool {
        guard let rank = operands[0]?.extents?.count else { return false }
        var axis = try vertex.node.int("axis", default: 0)
        if axis < 0 { axis += rank }
        guard axis == partial.axis else { return false }
        var ranges: [Range<Int>] = []
        for output in vertex.outputs {
            guard let output, let length = extents(of: output)?[axis].fixed else { return false }
            let start = ranges.last?.upperBound ?? 0
            ranges.append(start..<start + length)
        }
        for (output, range) in zip(vertex.outputs, ranges) {
            if let output { forms[output] = try restricted(partial, to: range) }
        }
        return true
    }

    /// Slice along the axis of a partial value, with a step of 1.
    fileprivate mutating func rewriteSlice(
        _ vertex: Vertex, _ operands: [Operand?], _ partial: Partial
    ) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil, let rank = operands[0]?.extents?.count else {
            return false
        }
        func numbers(_ name: String, _ slot: Int) throws -> [Int]? {
            if vertex.version < 10 { return try vertex.node.ints(name, default: nil) }
            guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot] else { return nil }
            return try originals.integers(value)
        }
        guard let start = try numbers("starts", 1), let end = try numbers("ends", 2), start.count == 1,
            end.count == 1,
            let axis = try numbers("axes", 3), axis.count == 1,
            (axis[0] < 0 ? axis[0] + rank : axis[0]) == partial.axis,
            try vertex.inputs.count <= 4 || numbers("steps", 4) == [1],
            let positions = Evaluation.positions(from: start[0], to: end[0], by: 1, size: partial.length),
            let first = positions.first
        else { return false }
        forms[output] = try restricted(partial, to: first..<first + positions.count)
        return true
    }
}
