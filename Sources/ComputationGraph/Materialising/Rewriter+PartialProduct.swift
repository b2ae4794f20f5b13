internal import ONNX

/// Matrix products that read a partial value: the rows of weights that constant positions meet go.
extension Rewriter {
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
        forms.record(name, likeValue: output)
        let constant = try initializer(Constant(data.elementType, shape: [added.count], added), hint: "bias")
        forms[output] = .tensor(emit("Add", [name, constant], output: graph.values[output].name))
        return true
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
}

/// What constant ranges add, shared with convolutions.
extension Rewriter {
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
