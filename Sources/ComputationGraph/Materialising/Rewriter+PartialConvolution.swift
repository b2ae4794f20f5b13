internal import ONNX

/// Convolutions that read a partial value: the weights of constant channels go.
///
/// What a constant range other than zero adds to the output goes into the bias, where it adds the same everywhere:
/// with padding it does not, so such a range is written out instead.
extension Rewriter {
    /// Convolution: input channels of a plain one, whole groups of a grouped one.
    mutating func rewriteConvolution(_ vertex: Vertex, _ operands: [Operand?], _ partial: Partial) throws
        -> Bool
    {
        guard partial.axis == 1, let data = operands[0], let output = vertex.outputs.first ?? nil,
            operands.count >= 2,
            let weight = operands[1], weight.form.isTensor, isOriginalConstant(weight.value),
            let weights = try originals.tensor(weight.value)
        else { return false }
        let groups = try vertex.node.int("group", default: 1)
        guard groups >= 1, partial.length % groups == 0, weights.shape[0] % groups == 0 else { return false }
        let depth = partial.length / groups
        let isExact = try evaluation(vertex, operands).hasNoPadding
        let bias = operands.count > 2 ? operands[2] : nil
        let hasConstantBias = try bias.map { try constantVector($0) != nil } ?? true
        let (kept, tensor) = try writingOut(partial, value: data.value) { range, constant in
            let isAligned = groups == 1 || range.lowerBound % depth == 0 && range.upperBound % depth == 0
            let isPerChannel = constant.count == constant.shape[1]
            return !isAligned || !(constant.isZero || isExact && isPerChannel && hasConstantBias)
        }
        let added = try response(weights, to: kept, groups: groups)
        let live = kept.liveRanges
        if groups == 1 {
            guard let slice = try sliced(weight.value, live, axis: 1) else { return false }
            emit(vertex, inputs: [tensor, slice, try self.bias(bias, adding: added, like: data)])
            return true
        }
        return try emitGroups(
            vertex, output: output, data: data, kept: kept, tensor: tensor, added: added, groups: groups,
            outputsPerGroup: weights.shape[0] / groups)
    }

    /// The groups of a grouped convolution that are live, and the constants that the others give.
    private mutating func emitGroups(
        _ vertex: Vertex, output: Int, data: Operand, kept: Partial, tensor: String, added: [Double],
        groups: Int,
        outputsPerGroup: Int
    ) throws -> Bool {
        let depth = kept.length / groups
        func outputs(_ range: Range<Int>) -> Range<Int> {
            range.lowerBound / depth * outputsPerGroup..<range.upperBound / depth * outputsPerGroup
        }
        guard let weight = vertex.inputs[1] else { return false }
        let bias = vertex.inputs.count > 2 ? vertex.inputs[2] : nil
        let ranges = kept.liveRanges.map(outputs)
        guard let slice = try sliced(weight, ranges, axis: 0) else { return false }
        var inputs: [String?] = [tensor, slice]
        var biases = [Double](repeating: 0, count: outputsPerGroup * groups)
        if let bias {
            guard let name = try sliced(bias, ranges, axis: 0), let vector = try originals.constant(bias)
            else {
                return false
            }
            inputs.append(name)
            biases = vector.elements
        }
        let attribute = AttributeProto(name: "group", int: kept.liveLength / depth)
        guard kept.liveLength < kept.length else {
            emit(vertex, inputs: inputs)
            return true
        }
        let name = names("\(graph.values[output].name)/kept")
        emit(copyOf: vertex, inputs: inputs, outputs: [name], attributes: [attribute])
        let rank = extents(of: output)?.count ?? 4
        var segments: [Partial.Segment] = []
        for (range, segment) in kept.placed {
            let range = outputs(range)
            guard !segment.isLive else {
                segments.append(.init(length: range.count, constant: nil))
                continue
            }
            let shape = [1, range.count] + [Int](repeating: 1, count: rank - 2)
            let constant = Constant(data.elementType, shape: shape, range.map { biases[$0] + added[$0] })
            segments.append(
                .init(
                    length: range.count,
                    constant: constant.isZero ? Constant(data.elementType, rank: rank) : constant))
        }
        let result = Partial(axis: 1, segments: segments, packing: .packed(name))
        forms[output] = .partial(result.repacked(name, axis: 1) { $0 })
        return true
    }

    /// Transposed convolution without groups: input channels that are zero go.
    mutating func rewriteTransposedConvolution(
        _ vertex: Vertex, _ operands: [Operand?], _ partial: Partial
    ) throws -> Bool {
        guard partial.axis == 1, try vertex.node.int("group", default: 1) == 1, let data = operands[0],
            operands.count >= 2, let weight = operands[1], weight.form.isTensor,
            isOriginalConstant(weight.value)
        else { return false }
        let (kept, tensor) = try writingOut(partial, value: data.value) { !$1.isZero }
        guard let slice = try sliced(weight.value, kept.liveRanges, axis: 0) else { return false }
        let rest = try operands.dropFirst(2).map { try $0.map { try explicit($0) } }
        emit(vertex, inputs: [tensor, slice] + rest)
        return true
    }

    /// What the constant channels add to each output channel of a convolution that sees them at every kernel position.
    private func response(_ weights: TensorData, to partial: Partial, groups: Int) throws -> [Double] {
        var added = [Double](repeating: 0, count: weights.shape[0])
        let values = values(of: partial, axis: 1)
        guard values.contains(where: { $0 != 0 }) else { return added }
        let elements = try weights.doubles
        let depth = weights.shape[1]
        let taps = weights.shape[2...].reduce(1, *)
        for output in added.indices {
            let first = output / (added.count / groups) * depth
            for channel in 0..<depth where values[first + channel] != 0 {
                let start = (output * depth + channel) * taps
                added[output] += values[first + channel] * elements[start..<start + taps].reduce(0, +)
            }
        }
        return added
    }
}
