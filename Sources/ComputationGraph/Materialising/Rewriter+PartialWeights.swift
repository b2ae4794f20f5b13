internal import ONNX

/// Vertices with weights that read a partial value: the weights of constant ranges go.
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

    /// Gemm: rows of B that constant columns of A meet go.
    mutating func rewriteGemm(_ vertex: Vertex, _ operands: [Operand?], _ partial: Partial) throws -> Bool {
        let beta = try Double(vertex.node.float("beta", default: 1))
        guard partial.axis == 1, try vertex.node.int("transA", default: 0) == 0, let data = operands[0],
            operands.count >= 2, let weight = operands[1], weight.form.isTensor,
            isOriginalConstant(weight.value),
            let weights = try originals.tensor(weight.value), weights.shape.count == 2
        else { return false }
        let isTransposed = try vertex.node.int("transB", default: 0) != 0
        let bias = operands.count > 2 ? operands[2] : nil
        let canAdd = try bias.map { try constantVector($0) != nil && beta != 0 } ?? true
        let (kept, tensor) = try writingOut(partial, value: data.value) {
            !($1.isZero || canAdd && $1.shape[0] == 1)
        }
        guard let slice = try sliced(weight.value, kept.liveRanges, axis: isTransposed ? 1 : 0) else {
            return false
        }
        let alpha = try Double(vertex.node.float("alpha", default: 1))
        let scale = bias == nil ? alpha : alpha / beta
        let added = try matrixResponse(weights, to: kept, isTransposed: isTransposed).map { $0 * scale }
        var attributes: [AttributeProto] = []
        if bias == nil, beta != 1 { attributes.append(.init(name: "beta", float: 1)) }
        emit(
            vertex, inputs: [tensor, slice, try self.bias(bias, adding: added, like: data)],
            attributes: attributes)
        return true
    }

    /// Matrix product with constant weights: their rows that constant positions of the last axis meet go.
    mutating func rewriteMatMul(_ vertex: Vertex, _ operands: [Operand?], _ partial: Partial) throws -> Bool {
        guard let data = operands[0], let rank = data.extents?.count, partial.axis == rank - 1,
            operands.count == 2,
            let weight = operands[1], weight.form.isTensor, isOriginalConstant(weight.value),
            let weights = try originals.tensor(weight.value), weights.shape.count >= 2,
            let output = vertex.outputs.first ?? nil
        else { return false }
        let isMatrix = weights.shape.count == 2
        let (kept, tensor) = try writingOut(partial, value: data.value) {
            !($1.isZero || isMatrix && $1.count == $1.shape[rank - 1])
        }
        guard let slice = try sliced(weight.value, kept.liveRanges, axis: weights.shape.count - 2) else {
            return false
        }
        let added = isMatrix ? try matrixResponse(weights, to: kept, isTransposed: false) : []
        guard added.contains(where: { $0 != 0 }) else {
            emit(vertex, inputs: [tensor, slice])
            return true
        }
        let name = names("\(graph.values[output].name)/kept")
        emit(copyOf: vertex, inputs: [tensor, slice], outputs: [name])
        let constant = try initializer(Constant(data.elementType, shape: [added.count], added), hint: "bias")
        forms[output] = .tensor(emit("Add", [name, constant], output: graph.values[output].name))
        return true
    }

    /// Reshaping that keeps the ranges of a partial value together.
    mutating func rewriteReshape(_ vertex: Vertex, _ operand: Operand, _ partial: Partial) throws -> Bool {
        guard let before = operand.extents, let output = vertex.outputs.first ?? nil,
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

    /// A bias that is a vector over the output channels (or one number), if it is constant.
    private func constantVector(_ operand: Operand) throws -> Constant? {
        guard operand.form.isTensor, isOriginalConstant(operand.value) else { return nil }
        guard let constant = try originals.constant(operand.value) else { return nil }
        return constant.count == (constant.shape.last ?? 1) ? constant : nil
    }

    /// The bias with `added` to it, one number for each output channel.
    private mutating func bias(_ operand: Operand?, adding added: [Double], like data: Operand) throws
        -> String?
    {
        guard added.contains(where: { $0 != 0 }) else { return try operand.map { try explicit($0) } }
        var sums = added
        if let operand, let vector = try constantVector(operand) {
            sums = added.indices.map { added[$0] + vector.elements[vector.count == 1 ? 0 : $0] }
        }
        return try initializer(Constant(data.elementType, shape: [sums.count], sums), hint: "bias")
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

    /// What the constant positions add to each column of a matrix product.
    private func matrixResponse(_ weights: TensorData, to partial: Partial, isTransposed: Bool) throws
        -> [Double]
    {
        let columns = weights.shape[isTransposed ? 0 : 1]
        var added = [Double](repeating: 0, count: columns)
        let values = values(of: partial, axis: partial.axis)
        guard values.contains(where: { $0 != 0 }) else { return added }
        let elements = try weights.doubles
        for (row, value) in values.enumerated() where value != 0 {
            for column in 0..<columns {
                added[column] +=
                    value * elements[isTransposed ? column * values.count + row : row * columns + column]
            }
        }
        return added
    }

    /// The constants along a partial value's axis, position by position; 0 where it is live.
    private func values(of partial: Partial, axis: Int) -> [Double] {
        partial.segments.flatMap { segment -> [Double] in
            guard let constant = segment.constant, !constant.isZero else {
                return [Double](repeating: 0, count: segment.length)
            }
            return (0..<segment.length).map { constant.elements[constant.shape[axis] == 1 ? 0 : $0] }
        }
    }
}
