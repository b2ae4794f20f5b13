import FoundationEssentials
internal import ONNX

/// A small tensor's contents, to find an equal one again.
struct TensorKey: Hashable {
    let elementType: ElementType
    let shape: [Int]
    let bytes: Data
}

/// Ranges of an original constant.
struct SliceKey: Hashable {
    let value: Int
    let ranges: [Range<Int>]
    let axis: Int
}

/// Names that no tensor or node of a model has yet.
struct UniqueNames {
    private var taken: Set<String> = []
    private var next: [String: Int] = [:]

    /// All names of `graph` and its subgraphs are taken.
    init(_ graph: GraphProto) { collect(graph) }

    private mutating func collect(_ graph: GraphProto) {
        taken.formUnion(graph.input.map(\.name))
        taken.formUnion(graph.initializer.map(\.name))
        for node in graph.node {
            taken.formUnion(node.input)
            taken.formUnion(node.output)
            taken.insert(node.name)
            for subgraph in node.subgraphs { collect(subgraph) }
        }
    }

    /// `hint`, with a number where it is taken.
    mutating func callAsFunction(_ hint: String) -> String {
        if taken.insert(hint).inserted { return hint }
        while true {
            next[hint, default: 0] += 1
            let name = "\(hint)_\(next[hint, default: 0])"
            if taken.insert(name).inserted { return name }
        }
    }
}

extension Rewriter {
    /// Emits a vertex's own node, its outputs under their own names.
    mutating func emit(_ vertex: Vertex, inputs: [String?], attributes: [AttributeProto] = []) {
        emit(copyOf: vertex, inputs: inputs, outputs: vertex.node.output, attributes: attributes)
        for output in vertex.outputs { if let output { forms[output] = .tensor(graph.values[output].name) } }
    }

    /// Emits a node like the vertex's own, with `attributes` in the place of those of the same name.
    mutating func emit(
        copyOf vertex: Vertex, inputs: [String?], outputs: [String], attributes: [AttributeProto] = []
    ) {
        var node = vertex.node
        var inputs = inputs
        while let last = inputs.last, last == nil { inputs.removeLast() }
        node.input = inputs.map { $0 ?? "" }
        node.output = outputs
        if let output = outputs.first { origins[output] = vertex.index }
        // A vertex may be emitted more than once, and node names have to be unique.
        if !node.name.isEmpty, !nodeNames.insert(node.name).inserted { node.name = names(node.name) }
        for attribute in attributes {
            node.attribute.removeAll { $0.name == attribute.name }
            node.attribute.append(attribute)
        }
        nodes.append(node)
    }

    /// Emits a new node with one output, and gives the output's name.
    @discardableResult
    mutating func emit(
        _ operation: String, _ inputs: [String], _ attributes: [AttributeProto] = [], output: String
    ) -> String {
        nodes.append(
            NodeProto(
                operation, inputs: inputs, outputs: [output], name: names("\(output)/\(operation)"),
                attributes: attributes))
        return output
    }

    /// Takes note of the sizes that a new tensor has in the first run.
    mutating func record(_ name: String, _ extents: [Extent]?) {
        let sizes = extents?.compactMap(\.sizes.first)
        forms.record(name, sizes?.count == extents?.count ? sizes : nil)
    }

    /// An initialiser with these contents; small ones are shared.
    mutating func initializer(_ data: TensorData, hint: String) -> String {
        guard data.count <= 4096 else { return add(data, hint: hint) }
        let key = TensorKey(elementType: data.elementType, shape: data.shape, bytes: data.bytes)
        if let name = caches.initializers[key] { return name }
        let name = add(data, hint: hint)
        caches.initializers[key] = name
        return name
    }

    private mutating func add(_ data: TensorData, hint: String) -> String {
        add(.init(elementType: data.elementType, shape: data.shape), data, hint: hint)
    }

    private mutating func add(_ tensor: CostTally.StoredTensor, _ data: TensorData?, hint: String) -> String {
        let name = names(hint)
        initializers.append((name, tensor, data))
        forms.record(name, tensor.shape)
        return name
    }

    /// An initialiser with a constant's elements, in the constant's own shape.
    mutating func initializer(_ constant: Constant, hint: String = "constant") throws -> String {
        initializer(try constant.tensorData(), hint: constant.isZero ? "zero" : hint)
    }

    /// A constant as a broadcasting node reads it, without axes where it is one number, and its sizes.
    mutating func broadcastable(_ constant: Constant) throws -> (name: String, sizes: [Extent]) {
        let small = constant.single == nil ? constant : constant.reshaped([])
        return (try initializer(small), small.shape.map(shapes.fixed))
    }

    /// A one-dimensional int64 initialiser.
    mutating func integers(_ numbers: [Int], hint: String = "indices") throws -> String {
        initializer(try TensorData(int64s: numbers.map(Int64.init), shape: [numbers.count]), hint: hint)
    }

    /// The given ranges of a constant of the file, as an initialiser; `nil` when the value is no such constant.
    mutating func sliced(_ value: Int, _ ranges: [Range<Int>], axis: Int) throws -> String? {
        let key = SliceKey(value: value, ranges: ranges, axis: axis)
        if let name = caches.slices[key] { return name }
        guard isOriginalConstant(value), let data = try originals.tensor(value),
            data.shape.indices.contains(axis),
            (ranges.last?.upperBound ?? 0) <= data.shape[axis]
        else { return nil }
        let hint = "\(graph.values[value].name)/kept"
        let name: String
        if writesWeights {
            name = initializer(try data.selecting(ranges, axis: axis), hint: hint)
        } else {
            try data.requireSliceable()
            var sizes = data.shape
            sizes[axis] = ranges.reduce(0) { $0 + $1.count }
            name = add(.init(elementType: data.elementType, shape: sizes), nil, hint: hint)
        }
        caches.slices[key] = name
        return name
    }

    /// Emits what takes `ranges` along `axis` out of a tensor.
    mutating func select(_ name: String, _ ranges: [Range<Int>], axis: Int) throws -> String {
        let output = names("\(name)/kept")
        forms.record(output, like: name, axis: axis, size: ranges.reduce(0) { $0 + $1.count })
        guard ranges.count == 1, let range = ranges.first else {
            return emit(
                "Gather", [name, try integers(ranges.flatMap { Array($0) })],
                [.init(name: "axis", int: axis)],
                output: output)
        }
        guard graph.model.operatorSet >= 10 else {
            return emit(
                "Slice", [name],
                [
                    .init(name: "axes", ints: [axis]), .init(name: "starts", ints: [range.lowerBound]),
                    .init(name: "ends", ints: [range.upperBound]),
                ], output: output)
        }
        return emit(
            "Slice",
            [name, try integers([range.lowerBound]), try integers([range.upperBound]), try integers([axis])],
            output: output)
    }
}
