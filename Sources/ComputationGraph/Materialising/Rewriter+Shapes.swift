internal import ONNX

/// A size by the place where it stands. Heights and widths may agree by chance in every run, but hardly the heights
/// of one depth in the network and those of another.
struct SizeKey: Hashable {
    let extent: Extent
    let axis: Int
    let rank: Int
}

/// An axis of a tensor that is there anyway.
struct SizeSource {
    let tensor: String
    let axis: Int
}

/// Shapes as tensors: fixed sizes, sizes that follow from the model's inputs, sizes of tensors that are there, and,
/// last of all, sizes of a tensor that is computed only for them.
extension Rewriter {
    /// A one-dimensional int64 tensor with the sizes `extents`, which are those of `value`'s axes or fixed.
    mutating func shapeTensor(_ extents: [Extent], of value: Int) throws -> String {
        if let name = caches.shapes[extents] { return name }
        var parts: [String] = []
        var fixed: [Int] = []
        var followsFromInputs = true
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
                followsFromInputs = false
                try flush(&self)
                let source =
                    try sizeSources[SizeKey(extent: extent, axis: axis, rank: extents.count)]
                    ?? SizeSource(tensor: reference(value), axis: axis)
                let shape = emit("Shape", [source.tensor], output: names("\(source.tensor)/shape"))
                let size = emit(
                    "Gather", [shape, try integers([source.axis])], [.init(name: "axis", int: 0)],
                    output: names("\(shape)/size"))
                forms.record(size, [1])
                parts.append(size)
            }
        }
        try flush(&self)
        let name: String
        switch parts.count {
        case 0: name = try integers([], hint: "sizes")
        case 1: name = parts[0]
        default:
            name = emit(
                "Concat", parts, [.init(name: "axis", int: 0)],
                output: names("\(graph.values[value].name)/sizes"))
        }
        if followsFromInputs { caches.shapes[extents] = name }
        return name
    }

    /// A size that follows from the inputs', as a tensor with one element.
    private mutating func sizeTensor(_ expression: SizeExpression) throws -> String {
        if let name = caches.sizes[expression] { return name }
        guard case .computed(let axes, let factor) = expression else { return "" }
        var name = ""
        for axis in axes {
            let size = emit(
                "Gather", [inputShape(axis.input), try integers([axis.axis])], [.init(name: "axis", int: 0)],
                output: names("\(graph.inputs[axis.input].name)/size"))
            forms.record(size, [1])
            name = name.isEmpty ? size : emit("Mul", [name, size], output: names("\(size)/product"))
            forms.record(name, [1])
        }
        if factor != 1 {
            name = emit("Mul", [name, try integers([factor])], output: names("\(name)/multiple"))
            forms.record(name, [1])
        }
        caches.sizes[expression] = name
        return name
    }

    /// Remembers which axes a value's tensor has.
    mutating func registerSizes(of value: Int) {
        guard case .tensor(let name) = forms[value] else { return }
        let extents = extents(of: value) ?? []
        for (axis, extent) in extents.enumerated() where extent.fixed == nil {
            let key = SizeKey(extent: extent, axis: axis, rank: extents.count)
            if sizeSources[key] == nil { sizeSources[key] = SizeSource(tensor: name, axis: axis) }
        }
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
        for captured in vertex.captured { try revive(captured) }
        let outputs = vertex.outputs.map { output in
            output.map { names("\(graph.values[$0].name)/shaped") } ?? ""
        }
        emit(copyOf: vertex, inputs: inputs, outputs: outputs)
        for (output, name) in zip(vertex.outputs, outputs) {
            guard let output else { continue }
            caches.forced[output] = name
            forms.record(name, likeValue: output)
        }
        return caches.forced[value] ?? graph.values[value].name
    }

    /// Computes a dead value after all, for a subgraph that reads it by name.
    private mutating func revive(_ value: Int) throws {
        guard forms[value] == nil, let producer = graph.values[value].producer else { return }
        let vertex = graph.vertices[producer]
        for (slot, input) in vertex.inputs.enumerated() {
            if let input, !cuts.contains(producer, slot) { try revive(input) }
        }
        for captured in vertex.captured { try revive(captured) }
        try rewrite(vertex)
        for case let output? in vertex.outputs where graph.isPinned[output] { try pin(output) }
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
