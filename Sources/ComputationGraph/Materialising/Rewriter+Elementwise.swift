internal import ONNX

/// Elementwise vertices that read constants beside live values.
extension Rewriter {
    /// Operators whose inputs broadcast to the output.
    static let broadcasting: Set<String> = [
        "Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean", "Equal", "Greater", "GreaterOrEqual",
        "Less",
        "LessOrEqual", "And", "Or", "Xor", "Where", "Mod", "PRelu",
    ]

    /// x + 0, x - 0, x * 1, x / 1 and their like are x, 0 - x is -x, and a choice that is constant is made.
    mutating func rewriteNeutral(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil, let target = extents(of: output) else { return false }
        let present = operands.compactMap { $0 }
        func isFilled(_ slot: Int, with number: Double) -> Bool {
            present.indices.contains(slot) && present[slot].constant?.isFilled(with: number) ?? false
        }
        let kept: Operand?
        switch vertex.operation {
        case "Add", "Sum":
            let remaining = present.filter { !($0.constant?.isZero ?? false) }
            kept = remaining.count == 1 ? remaining[0] : nil
        case "Sub":
            if isFilled(0, with: 0), present.count == 2, present[1].extents == target {
                emit("Neg", [try explicit(present[1])], output: graph.values[output].name)
                forms[output] = .tensor(graph.values[output].name)
                return true
            }
            kept = isFilled(1, with: 0) ? present[0] : nil
        case "Mul": kept = isFilled(0, with: 1) ? present[1] : isFilled(1, with: 1) ? present[0] : nil
        case "Div", "Pow": kept = isFilled(1, with: 1) ? present[0] : nil
        case "Where": kept = isFilled(0, with: 1) ? present[1] : isFilled(0, with: 0) ? present[2] : nil
        default: kept = nil
        }
        guard let kept, kept.elementType == graph.values[output].elementType, let extents = kept.extents
        else {
            return false
        }
        if extents == target {
            forms[output] = kept.form
        } else {
            try requireExpand()
            let shape = try shapeTensor(target, of: output)
            forms[output] = .tensor(
                emit("Expand", [try explicit(kept), shape], output: graph.values[output].name))
        }
        return true
    }

    /// Constants in place: the node stays, and reads them small.
    mutating func rewriteElementwise(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard Self.broadcasting.contains(vertex.operation), let output = vertex.outputs.first ?? nil,
            let target = extents(of: output)
        else { return false }
        if vertex.operation == "PRelu", !(operands.first??.form.isTensor ?? false) { return false }
        var inputs: [String?] = []
        var sizes: [[Extent]] = []
        var isLive = false
        for case let operand? in operands {
            guard let extents = operand.extents else { return false }
            switch operand.form {
            case .uniform(let constant):
                let (name, size) = try broadcastable(constant)
                inputs.append(name)
                sizes.append(size)
            case .narrow(let name, let shape):
                inputs.append(name)
                sizes.append(shape.map(shapes.fixed))
            case .tensor, .partial:
                inputs.append(try explicit(operand))
                sizes.append(extents)
                if !isOriginalConstant(operand.value) || extents.contains(where: { $0.fixed == nil }) {
                    isLive = true
                }
            }
        }
        guard let result = Self.broadcast(sizes, one: shapes.fixed(1)) else { return false }
        if result == target {
            emit(vertex, inputs: inputs)
            return true
        }
        let name = names("\(graph.values[output].name)/small")
        emit(copyOf: vertex, inputs: inputs, outputs: [name])
        record(name, result)
        let fixed = result.compactMap(\.fixed)
        if !isLive, fixed.count == result.count, result.count == target.count {
            forms[output] = .narrow(name, fixed)
        } else {
            try requireExpand()
            let shape = try shapeTensor(target, of: output)
            forms[output] = .tensor(emit("Expand", [name, shape], output: graph.values[output].name))
        }
        return true
    }

    /// The shape that shapes broadcast to; `nil` when they do not.
    static func broadcast(_ shapes: [[Extent]], one: Extent) -> [Extent]? {
        var result = [Extent](repeating: one, count: shapes.map(\.count).max() ?? 0)
        for shape in shapes {
            for (offset, extent) in shape.reversed().enumerated() where extent != one {
                let axis = result.count - 1 - offset
                guard result[axis] == one || result[axis] == extent else { return nil }
                result[axis] = extent
            }
        }
        return result
    }

    /// A matrix product with a constant that is the same along rows, columns or the axis summed over, as attention
    /// over cut scores is.
    mutating func rewriteProduct(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard vertex.operation == "MatMul", operands.count == 2, let left = operands[0],
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
