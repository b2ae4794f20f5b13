internal import ONNX

/// Vertices that treat the positions of a partial value's axis one by one: they work on the live ranges alone, and
/// on the constant ones in advance.
struct CarriedAxes {
    /// For each input slot, its axis that corresponds; `nil` where the input has none.
    var slots: [Int?]
    /// The axis of output 0 that corresponds.
    var output: Int
}

/// A partly constant input of a vertex, and the axis along which it is so.
struct CarriedInput {
    let vertex: Vertex
    let operands: [Operand?]
    /// The input's slot.
    let slot: Int
    /// The axis along which parts of it are constant.
    let axis: Int
    /// The number of its axes.
    let rank: Int
    /// The sizes of the first output.
    let target: [Extent]
    /// The vertex as evaluation sees it.
    let evaluation: Evaluation

    /// The axis becomes this one of the output, and no other input has it.
    func first(_ output: Int?) -> CarriedAxes? {
        output.map { CarriedAxes(slots: [axis] + operands.dropFirst().map { _ in nil }, output: $0) }
    }

    /// The axis stays where it is, under a condition.
    func same(_ condition: Bool) -> CarriedAxes? { condition ? first(axis) : nil }

    /// An axis counted from the front.
    func resolved(_ axis: Int) -> Int { axis < 0 ? axis + rank : axis }

    /// How the axis goes through an operator whose operands broadcast.
    var broadcast: CarriedAxes? {
        let outputAxis = axis + target.count - rank
        guard let length = target[outputAxis].fixed else { return nil }
        var slots: [Int?] = []
        for operand in operands {
            guard let extents = operand?.extents else { return nil }
            let own = outputAxis - (target.count - extents.count)
            guard own >= 0, extents[own].fixed != 1 || length == 1 else {
                slots.append(nil)
                continue
            }
            guard extents[own].fixed == length else { return nil }
            slots.append(own)
        }
        return CarriedAxes(slots: slots, output: outputAxis)
    }
}

extension Rewriter {
    /// Lets a vertex work on the live ranges of its first partly constant input, where its positions stay apart.
    mutating func rewriteCarried(
        _ vertex: Vertex, _ operands: [Operand?], _ rule: (CarriedInput) throws -> CarriedAxes?
    ) throws -> Bool {
        guard let slot = operands.firstIndex(where: { $0?.partial != nil }), let operand = operands[slot],
            let partial = operand.partial, let rank = operand.extents?.count,
            let output = vertex.outputs.first ?? nil, let target = extents(of: output),
            vertex.outputs.dropFirst().allSatisfy({ $0.map { !isRead($0) } ?? true }),
            let axes = try rule(
                CarriedInput(
                    vertex: vertex, operands: operands, slot: slot, axis: partial.axis, rank: rank,
                    target: target, evaluation: evaluation(vertex, operands)))
        else { return false }
        // A rule goes by what the node says, and sizes may be known of a model that never ran.
        let haveAxes = zip(operands, axes.slots).allSatisfy { operand, axis in
            axis.map { operand?.extents?.indices.contains($0) ?? false } ?? true
        }
        guard haveAxes, target.indices.contains(axes.output) else { return false }
        return try rewriteChannelwise(vertex, operands, axes, length: partial.length)
    }

    /// Evaluates the constant ranges and emits the vertex for the others.
    private mutating func rewriteChannelwise(
        _ vertex: Vertex, _ operands: [Operand?], _ axes: CarriedAxes, length: Int
    ) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil else { return false }
        for (operand, axis) in zip(operands, axes.slots) {
            if let partial = operand?.partial, partial.axis != axis { return false }
        }
        var boundaries: Set<Int> = [0, length]
        for operand in operands {
            for (range, _) in operand?.partial?.placed ?? [] { boundaries.insert(range.upperBound) }
        }
        let sorted = boundaries.sorted()
        var segments: [Partial.Segment] = []
        for (start, end) in zip(sorted, sorted.dropFirst()) {
            let constant = try restrictedEvaluation(vertex, operands, axes, start..<end)?.results()?.first
            segments.append(.init(length: end - start, constant: constant))
        }
        var result = Partial(axis: axes.output, segments: segments, packing: .pieces([]))
        if segments.allSatisfy({ !$0.isLive }),
            let joined = Constant.joined(
                segments.compactMap { segment in segment.constant.map { ($0, segment.length) } },
                axis: axes.output)
        {
            forms[output] = .uniform(joined)
            return true
        }
        let live = result.liveRanges
        guard !live.isEmpty, result.liveLength < length else { return false }
        var inputs: [String?] = []
        var sizes: [[Extent]] = []
        for (slot, operand) in operands.enumerated() {
            guard let operand else {
                inputs.append(nil)
                continue
            }
            let axis = axes.slots.indices.contains(slot) ? axes.slots[slot] : nil
            guard let (name, shape) = try restricted(operand, live, axis: axis, vertex) else { return false }
            inputs.append(name)
            sizes.append(shape)
        }
        if vertex.facts.broadcasts, var target = extents(of: output) {
            target[axes.output] = shapes.fixed(result.liveLength)
            guard Self.broadcast(sizes, one: shapes.fixed(1)) == target else { return false }
        }
        let name = names("\(graph.values[output].name)/kept")
        emit(copyOf: vertex, inputs: inputs, outputs: [name])
        result = result.repacked(name, axis: axes.output) { $0 }
        forms[output] = .partial(result)
        return true
    }

    /// An operand's live ranges, as the emitted node reads them; `nil` when that cannot be done.
    private mutating func restricted(
        _ operand: Operand, _ ranges: [Range<Int>], axis: Int?, _ vertex: Vertex
    ) throws -> (String, [Extent])? {
        guard var extents = operand.extents else { return axis == nil ? (try explicit(operand), []) : nil }
        let isBroadcast = vertex.facts.broadcasts
        if let axis { extents[axis] = shapes.fixed(ranges.reduce(0) { $0 + $1.count }) }
        switch operand.form {
        case .uniform(let constant) where isBroadcast:
            let kept = axis.map { constant.selecting(ranges.flatMap { Array($0) }, axis: $0) } ?? constant
            return try broadcastable(kept)
        case .partial(let partial) where partial.liveRanges == ranges:
            return (packed(partial, value: operand.value), extents)
        default: break
        }
        guard let axis else { return (try explicit(operand), extents) }
        if operand.form.isTensor, let name = try sliced(operand.value, ranges, axis: axis) {
            return (name, extents)
        }
        return (try select(explicit(operand), ranges, axis: axis), extents)
    }

    /// The vertex on one range of the axis; `nil` where all that it reads there is live.
    private func restrictedEvaluation(
        _ vertex: Vertex, _ operands: [Operand?], _ axes: CarriedAxes, _ range: Range<Int>
    ) throws -> Evaluation? {
        var evaluation = evaluation(vertex, operands)
        var isConstant = false
        for (slot, operand) in operands.enumerated() {
            guard let operand, axes.slots.indices.contains(slot), let axis = axes.slots[slot] else {
                continue
            }
            evaluation.inputs[slot].extents?[axis] = shapes.fixed(range.count)
            let positions = Array(range)
            if let partial = operand.partial {
                guard
                    let (place, segment) = partial.placed.first(where: { $0.range.contains(range.lowerBound) }
                    ),
                    let constant = segment.constant
                else { continue }
                isConstant = true
                let local = positions.map { $0 - place.lowerBound }
                evaluation.inputs[slot].source = .constant(constant.selecting(local, axis: axis))
            } else if let constant = try evaluation.constant(slot) {
                evaluation.inputs[slot].source = .constant(constant.selecting(positions, axis: axis))
            }
        }
        evaluation.outputs[0].extents?[axes.output] = shapes.fixed(range.count)
        return isConstant ? evaluation : nil
    }
}
