internal import ONNX

/// Partial values: their ranges told apart, written out, and what constant ranges add to the layer that reads them.
extension Rewriter {
    /// A range of a partial value along its axis.
    mutating func restricted(_ partial: Partial, to range: Range<Int>) throws -> Form {
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

    /// A bias that is a vector over the output channels (or one number), if it is constant.
    func constantVector(_ operand: Operand) throws -> Constant? {
        guard operand.form.isTensor, isOriginalConstant(operand.value) else { return nil }
        guard let constant = try originals.constant(operand.value) else { return nil }
        return constant.count == (constant.shape.last ?? 1) ? constant : nil
    }

    /// The bias with `added` to it, one number for each output channel.
    mutating func bias(_ operand: Operand?, adding added: [Double], like data: Operand) throws
        -> String?
    {
        guard added.contains(where: { $0 != 0 }) else { return try operand.map { try explicit($0) } }
        var sums = added
        if let operand, let vector = try constantVector(operand) {
            sums = added.indices.map { added[$0] + vector.elements[vector.count == 1 ? 0 : $0] }
        }
        return try initializer(Constant(data.elementType, shape: [sums.count], sums), hint: "bias")
    }

    /// The constants along a partial value's axis, position by position; 0 where it is live.
    func values(of partial: Partial, axis: Int) -> [Double] {
        partial.segments.flatMap { segment -> [Double] in
            guard let constant = segment.constant, !constant.isZero else {
                return [Double](repeating: 0, count: segment.length)
            }
            return (0..<segment.length).map { constant.elements[constant.shape[axis] == 1 ? 0 : $0] }
        }
    }
}
