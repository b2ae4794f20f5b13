internal import ONNX

/// Shapes as tensors: fixed sizes, sizes that follow from the model's inputs, and, last of all, sizes of a tensor
/// that is computed only for them.
extension Rewriter {
    /// A one-dimensional int64 tensor with the sizes `extents`, which are those of `value`'s axes or fixed.
    mutating func shapeTensor(_ extents: [Extent], of value: Int) throws -> String {
        var parts: [String] = []
        var fixed: [Int] = []
        func flush(_ rewriter: inout Rewriter) throws {
            if !fixed.isEmpty { parts.append(try rewriter.integers(fixed, hint: "sizes")) }
            fixed = []
        }
        for (axis, extent) in extents.enumerated() {
            switch shapes.expression(for: extent) {
            case .fixed(let size): fixed.append(size)
            case let expression?:
                try flush(&self)
                parts.append(try sizeTensor(expression))
            case nil:
                try flush(&self)
                let shape = emit(
                    "Shape", [try reference(value)], output: names("\(graph.values[value].name)/shape"))
                parts.append(
                    emit(
                        "Gather", [shape, try integers([axis])], [.init(name: "axis", int: 0)],
                        output: names("\(shape)/size")))
            }
        }
        try flush(&self)
        if parts.count == 1 { return parts[0] }
        if parts.isEmpty { return try integers([], hint: "sizes") }
        return emit(
            "Concat", parts, [.init(name: "axis", int: 0)], output: names("\(graph.values[value].name)/sizes")
        )
    }

    /// A size that follows from the inputs', as a tensor with one element.
    private mutating func sizeTensor(_ expression: SizeExpression) throws -> String {
        if let name = caches.sizes[expression] { return name }
        guard case .computed(let axes, let factor, let divisor, let addend) = expression else { return "" }
        var name = ""
        for axis in axes {
            let size = emit(
                "Gather", [inputShape(axis.input), try integers([axis.axis])], [.init(name: "axis", int: 0)],
                output: names("\(graph.inputs[axis.input].name)/size"))
            name = name.isEmpty ? size : emit("Mul", [name, size], output: names("\(size)/product"))
        }
        if factor != 1 {
            name = emit("Mul", [name, try integers([factor])], output: names("\(name)/multiple"))
        }
        if divisor != 1 {
            name = emit("Div", [name, try integers([divisor])], output: names("\(name)/part"))
        }
        if addend != 0 { name = emit("Add", [name, try integers([addend])], output: names("\(name)/sum")) }
        caches.sizes[expression] = name
        return name
    }

    private mutating func inputShape(_ input: Int) -> String {
        if let name = caches.inputShapes[input] { return name }
        let name = emit(
            "Shape", [graph.inputs[input].name], output: names("\(graph.inputs[input].name)/shape"))
        caches.inputShapes[input] = name
        return name
    }

    /// A tensor with the value's shape: its own, or one computed only for that.
    mutating func reference(_ value: Int) throws -> String {
        if case .tensor(let name) = forms[value] { return name }
        if let name = caches.forced[value] { return name }
        guard let producer = graph.values[value].producer else { return graph.values[value].name }
        let vertex = graph.vertices[producer]
        var inputs: [String?] = []
        for (slot, input) in vertex.inputs.enumerated() {
            guard let input else {
                inputs.append(nil)
                continue
            }
            // Elements do not matter, so a cut slot may read the value itself.
            inputs.append(
                cuts.contains(producer, slot) ? try reference(input) : try explicitOrReference(input))
        }
        let outputs = vertex.outputs.map { output in
            output.map { names("\(graph.values[$0].name)/shaped") } ?? ""
        }
        emit(copyOf: vertex, inputs: inputs, outputs: outputs)
        for (output, name) in zip(vertex.outputs, outputs) { if let output { caches.forced[output] = name } }
        return caches.forced[value] ?? graph.values[value].name
    }

    private mutating func explicitOrReference(_ value: Int) throws -> String {
        // Integers may decide shapes, so they must be right; of other values only the shape matters.
        let decidesShape =
            !graph.values[value].elementType.isFloatingPoint || graph.values[value].hasDynamicShape
        return forms[value] != nil && decidesShape ? try explicit(value) : try reference(value)
    }

    /// Shape of what has no tensor of its own.
    mutating func rewriteShape(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard vertex.operation == "Shape", let output = vertex.outputs.first ?? nil,
            let operand = operands.first ?? nil, let extents = operand.extents
        else { return false }
        let range = try shapeRange(vertex.node, rank: extents.count)
        let name: String
        if extents[range].allSatisfy({ shapes.expression(for: $0) != nil }) {
            name = try shapeTensor(Array(extents[range]), of: operand.value)
        } else {
            name = graph.values[output].name
            emit(copyOf: vertex, inputs: [try reference(operand.value)], outputs: [name])
        }
        forms[output] = .tensor(name)
        return true
    }

    /// The axes whose sizes a Shape node gives (all before opset 15).
    func shapeRange(_ node: NodeProto, rank: Int) throws -> Range<Int> {
        func clamped(_ index: Int) -> Int { min(max(index < 0 ? index + rank : index, 0), rank) }
        let start = clamped(try node.int("start", default: 0))
        return start..<max(start, clamped(try node.int("end", default: rank)))
    }
}
