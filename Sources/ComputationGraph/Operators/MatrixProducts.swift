internal import ONNX

/// Products of matrices of floating-point numbers.
extension OperatorFacts {
    static let matrixProducts: [String: OperatorFacts] = [
        "Det": OperatorFacts(),
        "Einsum": OperatorFacts(
            axes: labelledAxes, preservesZeros: everywhere, operations: labelCombinations, role: .product,
            hasWeights: true,
            evaluation: .first { evaluation in
                let slots = evaluation.inputs.indices
                let isDecided =
                    slots.contains(where: evaluation.isZero)
                    && !slots.contains(where: evaluation.mayBeInfinite)
                return isDecided ? evaluation.zero : nil
            }),
        "Gemm": OperatorFacts(
            sizes: gemmSizes, axes: gemmAxes, preservesZeros: { $0.slot < 2 && !$0.hasInput(2) },
            operations: gemmOperations,
            role: .product, hasWeights: true, linear: .gemm, evaluation: .first { try $0.gemm() },
            simplifications: [
                .partial { try $0.rewriteGemm($1, $2, $3) },
                .onceWhereSamplewise { _, vertex, _ in try vertex.node.int("transA", default: 0) == 0 },
            ]),
        "MatMul": OperatorFacts(
            sizes: productSizes, axes: productAxes, preservesZeros: everywhere, zeroOutput: .either,
            operations: { 2 * $0.outputElements * ($0.input(0)?.last ?? 0) }, role: .product,
            hasWeights: true, linear: .product, evaluation: .first { try $0.product() },
            simplifications: [
                .partial { try $0.rewriteMatMul($1, $2, $3) },
                Simplification { try $0.rewriteProduct($1, $2) },
                .onceWhereSamplewise { rewriter, vertex, _ in
                    vertex.inputs.dropFirst().first.flatMap { $0 }.map {
                        rewriter.extents(of: $0)?.count == 2
                    } ?? false
                },
            ]),
    ]

    // MARK: Axes

    /// Rows of the left and columns of the right matrix stay apart, what they have in common is summed over. Stacks broadcast.
    private static let productAxes: AxisRule = { query in
        guard let left = query.input(0), let right = query.input(1), let target = query.output, !left.isEmpty,
            !right.isEmpty
        else { return nil }
        let isVector = (left.count == 1, right.count == 1)
        let stack = target.dropLast((isVector.0 ? 0 : 1) + (isVector.1 ? 0 : 1))
        var builder = AxisMapBuilder()
        let outer = builder.axes(stack)
        let common = builder.axis(left[left.count - 1], .summed)
        let rows = isVector.0 ? [] : [builder.axis(left[left.count - 2])]
        let columns = isVector.1 ? [] : [builder.axis(right[right.count - 1])]
        guard let leftOuter = builder.broadcast(left.dropLast(2), to: outer, of: Array(stack)),
            let rightOuter = builder.broadcast(right.dropLast(2), to: outer, of: Array(stack))
        else { return nil }
        return builder.map(
            inputs: [leftOuter + rows + [common], rightOuter + [common] + columns],
            outputs: [outer + rows + columns])
    }

    private static let gemmAxes: AxisRule = { query in
        guard let left = query.input(0), left.count == 2, let target = query.output, target.count == 2 else {
            return nil
        }
        let isTransposed = (
            try query.vertex.node.int("transA", default: 0) != 0,
            try query.vertex.node.int("transB", default: 0) != 0
        )
        var builder = AxisMapBuilder()
        let (rows, columns) = (builder.axis(target[0]), builder.axis(target[1]))
        let common = builder.axis(left[isTransposed.0 ? 0 : 1], .summed)
        let bias = query.input(2).flatMap { builder.broadcast($0, to: [rows, columns], of: target) }
        return builder.map(
            inputs: Array(
                [
                    isTransposed.0 ? [common, rows] : [rows, common],
                    isTransposed.1 ? [columns, common] : [common, columns], bias,
                ].prefix(query.inputs.count)), outputs: [[rows, columns]])
    }

    /// Every label is a dimension; it is summed over if the output does not have it. Diagonals and ellipses are not followed.
    private static let labelledAxes: AxisRule = { query in
        let equation = try query.vertex.node.string("equation", default: "").filter { $0 != " " }
        guard let arrow = equation.firstRange(of: "->"), !equation.contains(".") else { return nil }
        let terms = equation[..<arrow.lowerBound].split(separator: ",", omittingEmptySubsequences: false)
        let target = equation[arrow.upperBound...]
        guard terms.count == query.inputs.count, (terms + [target]).allSatisfy({ Set($0).count == $0.count })
        else { return nil }
        var builder = AxisMapBuilder()
        var labels: [Character: AxisMap.Axis] = [:]
        for (term, shape) in zip(terms, query.inputs) {
            guard let shape, shape.count == term.count else { return nil }
            for (label, size) in zip(term, shape) where labels[label] == nil {
                labels[label] = builder.axis(size, target.contains(label) ? .separate : .summed)
            }
        }
        guard target.allSatisfy({ labels[$0] != nil }) else { return nil }
        return builder.map(
            inputs: terms.map { $0.compactMap { labels[$0] } }, outputs: [target.compactMap { labels[$0] }])
    }

    // MARK: Sizes and operations

    private static let productSizes: SizeRule = { tracing, output in
        guard let left = tracing.input(output.vertex, 0), let right = tracing.input(output.vertex, 1),
            left.count >= 2, right.count >= 2, let outer = tracing.broadcast(output.vertex, dropping: 2)
        else { return nil }
        return outer + [left[left.count - 2], right[right.count - 1]]
    }

    private static let gemmSizes: SizeRule = { tracing, output in
        let vertex = output.vertex
        guard let left = tracing.input(vertex, 0), let right = tracing.input(vertex, 1), left.count == 2,
            right.count == 2
        else { return nil }
        return [
            left[tracing.int(vertex, "transA", 0) == 0 ? 0 : 1],
            right[tracing.int(vertex, "transB", 0) == 0 ? 1 : 0],
        ]
    }

    private static let gemmOperations: @Sendable (FloatingPointOperations) -> Int = { node in
        guard let left = node.input(0), left.count == 2, let out = node.output, out.count == 2, out[0] > 0
        else { return 0 }
        return 2 * node.outputElements * (node.elements(left) / out[0]) + node.biasOperations
    }

    /// Two operations per combination of all labels.
    private static let labelCombinations: @Sendable (FloatingPointOperations) -> Int = { node in
        guard
            let equation = node.node.attribute.first(where: { $0.name == "equation" }).map({
                String(decoding: $0.s, as: UTF8.self)
            })
        else { return 0 }
        let terms = equation.split(separator: "-")[0].split(separator: ",").map { $0.filter { $0.isLetter } }
        var sizes: [Character: Int] = [:]
        for (slot, term) in terms.enumerated() {
            guard let shape = node.input(slot), shape.count == term.count else { return node.outputElements }
            for (label, size) in zip(term, shape) { sizes[label] = size }
        }
        return 2 * sizes.values.reduce(1, *)
    }
}

/// Products of constants; a zero factor decides the result whatever the other one is.
extension Evaluation {
    fileprivate func product() throws -> Constant? {
        if hasZeroFactor { return zero }
        guard let left = try constant(0), let right = try constant(1), let extents = inputs[0].extents,
            left.rank > 0, right.rank > 0
        else { return nil }
        return matrixProduct(left, right, inner: extents[left.rank - 1].fixed)
    }

    fileprivate func gemm() throws -> Constant? {
        let alpha = try Double(vertex.node.float("alpha", default: 1))
        let beta = try Double(vertex.node.float("beta", default: 1))
        var product = zero
        if !hasZeroFactor {
            guard var left = try constant(0), var right = try constant(1), var extents = inputs[0].extents
            else {
                return nil
            }
            if try vertex.node.int("transA", default: 0) != 0 {
                left = left.transposed([1, 0])
                extents.swapAt(0, 1)
            }
            if try vertex.node.int("transB", default: 0) != 0 { right = right.transposed([1, 0]) }
            guard let result = matrixProduct(left, right, inner: extents[1].fixed) else { return nil }
            product = result
        }
        guard isPresent(2), beta != 0 else { return product.mapped { $0 * alpha } }
        guard let addend = try constant(2) else { return nil }
        return combine([product, addend]) { alpha * $0[0] + beta * $0[1] }
    }

    /// `left` times `right`, summed over an axis of `inner` elements (`nil` if that is not fixed).
    private func matrixProduct(_ left: Constant, _ right: Constant, inner: Int?) -> Constant? {
        let isVector = (left.rank == 1, right.rank == 1)
        var left = isVector.0 ? left.reshaped([1, left.count]) : left
        var right = isVector.1 ? right.reshaped([right.count, 1]) : right
        let rank = max(left.rank, right.rank)
        (left, right) = (left.withRank(rank), right.withRank(rank))
        let common = max(left.shape[rank - 1], right.shape[rank - 2])
        let times: Double
        if common == 1 {
            guard let inner else { return nil }
            times = Double(inner)
        } else {
            times = 1
        }
        let outer = zip(left.shape, right.shape).prefix(rank - 2).map { max($0, $1) }
        let (rows, columns) = (left.shape[rank - 2], right.shape[rank - 1])
        guard outer.reduce(rows * columns * common, *) <= Self.largestWork,
            let first = left.expanded(to: outer + [rows, common]),
            let second = right.expanded(to: outer + [common, columns])
        else { return nil }
        let isFinite = right.elements.allSatisfy(\.isFinite)
        var elements: [Double] = []
        for block in 0..<outer.reduce(1, *) {
            for row in 0..<rows {
                var sums = [Double](repeating: 0, count: columns)
                for index in 0..<common {
                    let factor = first.elements[(block * rows + row) * common + index] * times
                    if factor == 0, isFinite { continue }
                    let start = (block * common + index) * columns
                    for column in 0..<columns { sums[column] += factor * second.elements[start + column] }
                }
                elements += sums
            }
        }
        let shape = outer + (isVector.0 ? [] : [rows]) + (isVector.1 ? [] : [columns])
        return Constant(outputs[0].elementType, shape: shape, elements)
    }
}

/// Products that read a constant: a partial value, whose constant positions' rows of weights go, or one that is the same
/// along some axes.
extension Rewriter {
    /// Gemm: rows of B that constant columns of A meet go.
    fileprivate mutating func rewriteGemm(_ vertex: Vertex, _ operands: [Operand?], _ partial: Partial) throws
        -> Bool
    {
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
    fileprivate mutating func rewriteMatMul(_ vertex: Vertex, _ operands: [Operand?], _ partial: Partial)
        throws -> Bool
    {
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

    /// A matrix product with a constant that is the same along rows, columns or the axis summed over, as attention
    /// over cut scores is.
    fileprivate mutating func rewriteProduct(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard operands.count == 2, let left = operands[0],
            let right = operands[1],
            let output = vertex.outputs.first ?? nil, let target = extents(of: output),
            let leftExtents = left.extents, let rightExtents = right.extents, leftExtents.count >= 2,
            rightExtents.count >= 2
        else { return false }
        let name: String
        var inner = target
        if let constant = left.constant, right.constant == nil {
            inner[target.count - 2] = shapes.fixed(constant.shape[constant.rank - 2])
            if constant.shape[constant.rank - 1] == 1 {
                let sum = try sum(of: explicit(right), axis: rightExtents.count - 2, like: output)
                name = emit(
                    "Mul", [try broadcastable(constant).name, sum],
                    output: names("\(graph.values[output].name)/small"))
            } else if constant.shape[constant.rank - 1] == leftExtents.last?.fixed {
                name = names("\(graph.values[output].name)/small")
                emit(
                    copyOf: vertex, inputs: [try initializer(constant), try explicit(right)], outputs: [name])
            } else {
                return false
            }
            let outer = Self.broadcast(
                [constant.shape.dropLast(2).map(shapes.fixed), Array(rightExtents.dropLast(2))],
                one: shapes.fixed(1))
            guard let outer else { return false }
            inner = outer + inner.suffix(2)
        } else if let constant = right.constant, left.constant == nil {
            inner[target.count - 1] = shapes.fixed(constant.shape[constant.rank - 1])
            if constant.shape[constant.rank - 2] == 1 {
                let sum = try sum(of: explicit(left), axis: leftExtents.count - 1, like: output)
                name = emit(
                    "Mul", [sum, try broadcastable(constant).name],
                    output: names("\(graph.values[output].name)/small"))
            } else if constant.shape[constant.rank - 2] == rightExtents[rightExtents.count - 2].fixed {
                name = names("\(graph.values[output].name)/small")
                emit(
                    copyOf: vertex, inputs: [try explicit(left), try initializer(constant)], outputs: [name])
            } else {
                return false
            }
            let outer = Self.broadcast(
                [constant.shape.dropLast(2).map(shapes.fixed), Array(leftExtents.dropLast(2))],
                one: shapes.fixed(1))
            guard let outer else { return false }
            inner = outer + inner.suffix(2)
        } else {
            return false
        }
        record(name, inner)
        if inner == target {
            forms[output] = .tensor(name)
        } else {
            try requireExpand()
            let shape = try shapeTensor(target, of: output)
            forms[output] = .tensor(emit("Expand", [name, shape], output: graph.values[output].name))
        }
        return true
    }

    private mutating func sum(of tensor: String, axis: Int, like output: Int) throws -> String {
        let name = names("\(graph.values[output].name)/sum")
        forms.record(name, like: tensor, axis: axis, size: 1)
        if graph.model.operatorSet >= 13 {
            return emit("ReduceSum", [tensor, try integers([axis])], output: name)
        }
        return emit("ReduceSum", [tensor], [.init(name: "axes", ints: [axis])], output: name)
    }
}
