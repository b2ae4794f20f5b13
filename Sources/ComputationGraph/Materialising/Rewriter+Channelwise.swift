internal import ONNX

/// Vertices that treat the positions of a partial value's axis one by one: they work on the live ranges alone, and
/// on the constant ones in advance.
struct CarriedAxes {
    /// For each input slot, its axis that corresponds; `nil` where the input has none.
    var slots: [Int?]
    /// The axis of output 0 that corresponds.
    var output: Int
}

extension Rewriter {
    /// Applies the rule for partial inputs that fits the vertex.
    mutating func rewritePartial(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard let slot = operands.firstIndex(where: { $0?.partial != nil }), let operand = operands[slot],
            let partial = operand.partial
        else { return false }
        if slot == 0 {
            switch vertex.operation {
            case "Conv": return try rewriteConvolution(vertex, operands, partial)
            case "ConvTranspose": return try rewriteTransposedConvolution(vertex, operands, partial)
            case "Gemm": return try rewriteGemm(vertex, operands, partial)
            case "MatMul": if try rewriteMatMul(vertex, operands, partial) { return true }
            case "Reshape", "Flatten": return try rewriteReshape(vertex, operand, partial)
            case "Split": if try rewriteSplit(vertex, operand, partial) { return true }
            case "Slice": if try rewriteSlice(vertex, operand, partial) { return true }
            default: break
            }
        }
        guard let rank = operand.extents?.count,
            let axes = try carriedAxes(vertex, operands, slot: slot, axis: partial.axis, rank: rank)
        else { return false }
        return try rewriteChannelwise(vertex, operands, axes, length: partial.length)
    }

    /// How the axis of a partial input goes through the vertex; `nil` when its positions do not stay apart.
    private func carriedAxes(
        _ vertex: Vertex, _ operands: [Operand?], slot: Int, axis: Int, rank: Int
    ) throws -> CarriedAxes? {
        guard let output = vertex.outputs.first ?? nil, let target = extents(of: output),
            vertex.outputs.dropFirst().allSatisfy({ $0.map { !isRead($0) } ?? true })
        else { return nil }
        if Self.broadcasting.contains(vertex.operation) {
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
        guard slot == 0 else { return nil }
        func first(_ output: Int?) -> CarriedAxes? {
            output.map { CarriedAxes(slots: [axis] + operands.dropFirst().map { _ in nil }, output: $0) }
        }
        let evaluation = evaluation(vertex, operands)
        func same(_ condition: Bool) -> CarriedAxes? { condition ? first(axis) : nil }
        switch vertex.operation {
        case "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Mish", "HardSwish", "HardSigmoid",
            "Sigmoid",
            "Softplus", "Softsign", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Clip",
            "ThresholdedRelu", "Cast", "IsNaN", "Not", "Sign", "Floor", "Ceil", "Round", "Dropout", "Shrink":
            return first(axis)
        case "BatchNormalization": return axis == 1 ? CarriedAxes(slots: [1, 0, 0, 0, 0], output: 1) : nil
        case "InstanceNormalization": return axis == 1 ? CarriedAxes(slots: [1, 0, 0], output: 1) : nil
        case "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool":
            return same(axis == 1)
        case "Resize", "Upsample":
            // Sizes, where given, name the axis's own size.
            let hasSizes = evaluation.isPresent(3) || vertex.node.hasAttribute("axes")
            return same(
                axis == 1 && target.count == rank && target[1] == operands[0]?.extents?[1] && !hasSizes)
        case "LayerNormalization":
            let first = try vertex.node.int("axis", default: -1)
            return same(axis < (first < 0 ? first + rank : first))
        case "Softmax", "LogSoftmax":
            let own = try vertex.node.int("axis", default: vertex.version < 13 ? 1 : -1)
            let normalised = own < 0 ? own + rank : own
            return same(vertex.version < 13 ? axis < normalised : axis != normalised)
        case "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare",
            "ReduceLogSum":
            guard let axes = try evaluation.axes(slot: 1, rank: rank, default: []), !axes.isEmpty,
                !axes.contains(axis)
            else { return nil }
            let keeps = try vertex.node.int("keepdims", default: 1) != 0
            return first(keeps ? axis : axis - axes.filter { $0 < axis }.count)
        case "Transpose":
            return first(try vertex.node.ints("perm", default: (0..<rank).reversed()).firstIndex(of: axis))
        case "Unsqueeze":
            guard let axes = try evaluation.axes(slot: 1, rank: target.count, default: []) else { return nil }
            return first((0..<target.count).filter { !axes.contains($0) }.dropFirst(axis).first)
        case "Squeeze":
            guard let axes = try evaluation.axes(slot: 1, rank: rank, default: []), !axes.isEmpty else {
                return nil
            }
            return first(axis - axes.filter { $0 < axis }.count)
        case "Pad":
            let pads = vertex.version < 11 ? try vertex.node.ints("pads") : try evaluation.integers(1)
            guard let pads, pads.count == 2 * rank, !evaluation.isPresent(3) else { return nil }
            return same(pads[axis] == 0 && pads[axis + rank] == 0)
        case "Gather":
            let own = try vertex.node.int("axis", default: 0)
            let gathered = own < 0 ? own + rank : own
            guard gathered != axis else { return nil }
            return first(axis < gathered ? axis : axis + target.count - rank)
        case "Slice":
            let axes =
                vertex.version < 10
                ? try vertex.node.ints("axes", default: nil)
                : evaluation.isPresent(3) ? try evaluation.integers(3) : nil
            return same(axes.map { !$0.contains(axis) && !$0.contains(axis - rank) } ?? false)
        default: return nil
        }
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
        if Self.broadcasting.contains(vertex.operation), var target = extents(of: output) {
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
        let isBroadcast = Self.broadcasting.contains(vertex.operation)
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
