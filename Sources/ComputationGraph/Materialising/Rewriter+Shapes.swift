internal import ONNX

/// An axis of a tensor that is there anyway.
struct SizeSource: Hashable {
    let tensor: String
    let axis: Int
}

/// How a size of a layer's first output follows from sizes of its inputs.
enum SizeDerivation: Sendable {
    /// One of the inputs has an axis that is as long.
    case sameAsInput
    /// A window slides along the axis of the first input, which may be padded. Its size is an attribute, or that of the
    /// weights in this slot.
    case slidingWindow(weights: Int?)
    /// Axes of the first input are joined or divided in their order.
    case regrouped
}

/// Shapes as tensors: fixed sizes, sizes that follow from the model's inputs, sizes of tensors that are there, and,
/// last of all, sizes of a tensor that is computed only for them.
extension Rewriter {
    /// A one-dimensional int64 tensor with the sizes `extents`, which are those of `value`'s axes from `start` on, or fixed.
    mutating func shapeTensor(_ extents: [Extent], of value: Int, from start: Int = 0) throws -> String {
        if let name = caches.shapes[extents] { return name }
        var parts: [String] = []
        var fixed: [Int] = []
        var followsFromInputs = true
        func flush(_ rewriter: inout Rewriter) throws {
            if !fixed.isEmpty { parts.append(try rewriter.integers(fixed, hint: "sizes")) }
            fixed = []
        }
        for (axis, extent) in extents.enumerated() {
            caches.underived.removeAll()
            if case .fixed(let size)? = shapes.expression(for: extent) {
                fixed.append(size)
                continue
            }
            try flush(&self)
            if let size = try knownSize(extent) ?? derivedSize(of: value, axis: start + axis, depth: 0) {
                followsFromInputs = followsFromInputs && shapes.expression(for: extent) != nil
                parts.append(size)
            } else {
                followsFromInputs = false
                parts.append(try size(at: SizeSource(tensor: reference(value), axis: start + axis)))
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
        for (axis, extent) in (extents(of: value) ?? []).enumerated() where extent.fixed == nil {
            if sizeSources[extent] == nil { sizeSources[extent] = SizeSource(tensor: name, axis: axis) }
        }
    }

    /// The same for a tensor that has an original value's name.
    mutating func registerSizes(ofTensor name: String) {
        guard let value = graph.valueIndex[name] else { return }
        for (axis, extent) in (extents(of: value) ?? []).enumerated() where extent.fixed == nil {
            if sizeSources[extent] == nil { sizeSources[extent] = SizeSource(tensor: name, axis: axis) }
        }
    }

    /// Forgets which axes tensors have: they may be there for their shapes alone.
    mutating func forgetSources() {
        sizeSources = [:]
        (caches.products, caches.sourceSizes, caches.underived) = ([:], [:], [])
    }

    /// Whether the sizes of these axes are known without computing the value. What that emits in vain is swept out.
    mutating func canDerive(_ range: Range<Int>, of value: Int) throws -> Bool {
        guard let extents = extents(of: value) else { return false }
        for axis in range {
            if try knownSize(extents[axis]) == nil, try derivedSize(of: value, axis: axis, depth: 0) == nil {
                return false
            }
            caches.underived.removeAll()
        }
        return true
    }

    /// The value that a tensor has the shape of, be it computed in full or for its shape alone.
    func shapedValue(_ tensor: String) -> Int? {
        graph.valueIndex[tensor] ?? caches.forced.first { $0.value == tensor }?.key
    }

    /// A size as a tensor with one element, from the inputs' sizes or those of tensors that are there; `nil` when it is
    /// none of these, nor a product of two.
    private mutating func knownSize(_ extent: Extent) throws -> String? {
        if let expression = shapes.expression(for: extent) {
            if case .fixed(let size) = expression { return try integers([size], hint: "sizes") }
            return try sizeTensor(expression)
        }
        if let source = sizeSources[extent] { return try size(at: source) }
        if let name = caches.products[extent] { return name }
        for (factor, source) in sizeSources.sorted(by: {
            ($0.value.tensor, $0.value.axis) < ($1.value.tensor, $1.value.axis)
        }) {
            guard let other = extent.divided(by: factor) else { continue }
            guard shapes.expression(for: other) != nil || sizeSources[other] != nil,
                let second = try knownSize(other)
            else { continue }
            let name = emit("Mul", [try size(at: source), second], output: names("\(source.tensor)/product"))
            forms.record(name, [1])
            caches.products[extent] = name
            return name
        }
        return nil
    }

    /// The size of an axis of a tensor that is there.
    private mutating func size(at source: SizeSource) throws -> String {
        if let name = caches.sourceSizes[source] { return name }
        let shape = emit("Shape", [source.tensor], output: names("\(source.tensor)/shape"))
        let name = emit(
            "Gather", [shape, try integers([source.axis])], [.init(name: "axis", int: 0)],
            output: names("\(shape)/size"))
        forms.record(name, [1])
        caches.sourceSizes[source] = name
        return name
    }

    /// The size of an axis by the rules for shapes of the layers that make the value, down to sizes that are known: nothing
    /// has to be computed for its shape. `nil` where a layer has no simple rule.
    private mutating func derivedSize(of value: Int, axis: Int, depth: Int) throws -> String? {
        guard depth < 64, let extents = extents(of: value), extents.indices.contains(axis),
            let producer = graph.values[value].producer
        else { return nil }
        if let known = try knownSize(extents[axis]) { return known }
        guard caches.underived.insert([value, axis]).inserted else { return nil }
        let vertex = graph.vertices[producer]
        guard isStandard(vertex), vertex.outputs.first == value, let first = vertex.inputs.first ?? nil else {
            return nil
        }
        switch vertex.facts.derivedSize {
        case .slidingWindow(let weights):
            guard axis >= 2, let window = try slidingWindow(vertex, axis: axis, weights: weights),
                let size = try derivedSize(of: first, axis: axis, depth: depth + 1)
            else { return nil }
            // (size + padding - span) / stride + 1
            let sum = emitSize("Add", [size, try integers([window.added])], output: names("\(size)/padded"))
            let steps = emitSize("Div", [sum, try integers([window.stride])], output: names("\(size)/steps"))
            return emitSize("Add", [steps, try integers([1])], output: names("\(size)/positions"))
        case .regrouped:
            guard let before = self.extents(of: first),
                let groups = AxisGroup.groups(from: before, to: extents),
                let group = groups.first(where: { $0.after.contains(axis) }),
                group.after.allSatisfy({ $0 == axis || extents[$0].fixed == 1 })
            else { return nil }
            var product: String?
            for place in group.before where before[place].fixed != 1 {
                guard let size = try derivedSize(of: first, axis: place, depth: depth + 1) else { return nil }
                product =
                    product.map { emitSize("Mul", [$0, size], output: names("\(size)/product")) } ?? size
            }
            return product
        case .sameAsInput:
            // Of the inputs, one whose axis is as long.
            for case let input? in vertex.inputs {
                guard let other = self.extents(of: input), graph.values[input].producer != nil else {
                    continue
                }
                for place in other.indices where other[place] == extents[axis] {
                    if let size = try derivedSize(of: input, axis: place, depth: depth + 1) { return size }
                }
            }
            return nil
        }
    }

    /// Emits a node that computes one size.
    private mutating func emitSize(_ operation: String, _ inputs: [String], output: String) -> String {
        let name = emit(operation, inputs, output: output)
        forms.record(name, [1])
        return name
    }

    /// Stride, and what is added to a size before it is divided by that, of a layer whose window slides along `axis`; `nil`
    /// when it rounds up or pads by itself.
    private func slidingWindow(_ vertex: Vertex, axis: Int, weights: Int?) throws -> (
        added: Int, stride: Int
    )? {
        let automatic = try vertex.node.string("auto_pad", default: "NOTSET")
        guard automatic == "NOTSET" || automatic.isEmpty, try vertex.node.int("ceil_mode", default: 0) == 0
        else {
            return nil
        }
        let place = axis - 2
        let weights = weights.flatMap { vertex.inputs.indices.contains($0) ? vertex.inputs[$0] : nil }
        let kernel =
            try vertex.node.ints("kernel_shape", default: nil)
            ?? weights.flatMap { extents(of: $0) }?.dropFirst(2).map { $0.fixed ?? 0 }
        guard let kernel, kernel.indices.contains(place), kernel[place] > 0 else { return nil }
        let ones = kernel.map { _ in 1 }
        let strides = try vertex.node.ints("strides", default: ones)
        let dilations = try vertex.node.ints("dilations", default: ones)
        let pads = try vertex.node.ints("pads", default: ones.map { _ in 0 } + ones.map { _ in 0 })
        guard strides.count == kernel.count, dilations.count == kernel.count, pads.count == 2 * kernel.count,
            strides[place] > 0
        else { return nil }
        let span = (kernel[place] - 1) * dilations[place] + 1
        return (pads[place] + pads[place + kernel.count] - span, strides[place])
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
        guard let output = vertex.outputs.first ?? nil, let operand = operands.first ?? nil,
            let extents = operand.extents
        else { return false }
        let range = try shapeRange(vertex.node, rank: extents.count)
        forms[output] = .tensor(
            try shapeTensor(Array(extents[range]), of: operand.value, from: range.lowerBound))
        return true
    }

    /// The axes whose sizes a Shape node gives (all before opset 15).
    func shapeRange(_ node: NodeProto, rank: Int) throws -> Range<Int> {
        func clamped(_ index: Int) -> Int { min(max(index < 0 ? index + rank : index, 0), rank) }
        let start = clamped(try node.int("start", default: 0))
        return start..<max(start, clamped(try node.int("end", default: rank)))
    }
}
