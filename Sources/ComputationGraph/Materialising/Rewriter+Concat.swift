internal import ONNX

/// Where partial values begin and where their ranges are told apart again.
extension Rewriter {
    /// A concatenation with constant operands: the rest, and a note of where the constants belong.
    mutating func rewriteConcat(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard vertex.operation == "Concat", let output = vertex.outputs.first ?? nil,
            let target = extents(of: output)
        else { return false }
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
    mutating func rewriteSplit(_ vertex: Vertex, _ operand: Operand, _ partial: Partial) throws -> Bool {
        guard let rank = operand.extents?.count else { return false }
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
    mutating func rewriteSlice(_ vertex: Vertex, _ operand: Operand, _ partial: Partial) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil, let rank = operand.extents?.count else {
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

    /// A range of a partial value along its axis.
    private mutating func restricted(_ partial: Partial, to range: Range<Int>) throws -> Form {
        var segments: [Partial.Segment] = []
        var pieces: [String] = []
        let all = try self.pieces(of: partial)
        var live = 0
        for (place, segment) in partial.placed {
            defer { if segment.isLive { live += 1 } }
            let common = place.clamped(to: range)
            guard !common.isEmpty else { continue }
            let local = common.lowerBound - place.lowerBound..<common.upperBound - place.lowerBound
            segments.append(
                .init(
                    length: common.count,
                    constant: segment.constant?.selecting(Array(local), axis: partial.axis)))
            if segment.isLive {
                pieces.append(
                    local.count == segment.length
                        ? all[live] : try select(all[live], [local], axis: partial.axis))
            }
        }
        if segments.allSatisfy({ !$0.isLive }),
            let constant = Constant.joined(
                segments.compactMap { segment in segment.constant.map { ($0, segment.length) } },
                axis: partial.axis)
        {
            return .uniform(constant)
        }
        if segments.count == 1, pieces.count == 1 { return .tensor(pieces[0]) }
        return .partial(Partial(axis: partial.axis, segments: segments, packing: .pieces(pieces)))
    }

    /// The partial value with some of its constant segments written out; unchanged when there are none such.
    mutating func writingOut(
        _ partial: Partial, value: Int, where condition: (Range<Int>, Constant) -> Bool
    ) throws -> (partial: Partial, tensor: String) {
        let chosen = partial.placed.map { place in
            place.segment.constant.map { condition(place.range, $0) } ?? false
        }
        guard chosen.contains(true) else { return (partial, packed(partial, value: value)) }
        var live = try pieces(of: partial).makeIterator()
        var pieces: [String] = []
        var segments: [Partial.Segment] = []
        for (segment, isChosen) in zip(partial.segments, chosen) {
            if isChosen, let constant = segment.constant {
                pieces.append(try piece(constant, length: segment.length, of: partial, value: value))
                segments.append(.init(length: segment.length, constant: nil))
            } else {
                if segment.isLive, let piece = live.next() { pieces.append(piece) }
                segments.append(segment)
            }
        }
        let tensor = emit(
            "Concat", pieces, [.init(name: "axis", int: partial.axis)],
            output: names("\(graph.values[value].name)/packed"))
        if let first = pieces.first {
            let length = segments.reduce(0) { $0 + ($1.isLive ? $1.length : 0) }
            forms.record(tensor, like: first, axis: partial.axis, size: length)
        }
        return (Partial(axis: partial.axis, segments: segments, packing: .pieces(pieces)), tensor)
    }
}
