internal import BitCollections
internal import FoundationEssentials
internal import ONNX

/// Writes the nodes and weights of a graph without some slices.
struct SliceWriter {
    private let graph: Graph
    private let coupling: Coupling
    private let gone: [ValueAxis: BitSet]
    private let keepsContents: Bool
    private var names: UniqueNames
    var proto: ModelProto
    /// The shapes of values that are computed and the graph had not, by name.
    private(set) var added: [String: [Int]] = [:]

    init(_ graph: Graph, _ coupling: Coupling, _ gone: [ValueAxis: BitSet], keepsContents: Bool) {
        (self.graph, self.coupling, self.gone) = (graph, coupling, gone)
        self.keepsContents = keepsContents
        proto = graph.model.model
        names = UniqueNames(proto.graph)
        let changed = Set(gone.keys.map { graph.values[coupling.stored($0.value)].name })
        proto.graph.valueInfo.removeAll { changed.contains($0.name) }
        // Of what may be given in place of a weight the weight's shape is left to tell.
        proto.graph.input.removeAll { changed.contains($0.name) }
    }

    /// Cuts the positions that go out of what the file stores.
    mutating func writeConstants() throws {
        let places = Dictionary(
            proto.graph.initializer.enumerated().map { ($1.name, $0) },
            uniquingKeysWith: { first, _ in first })
        let touched = Set(gone.keys.map { coupling.stored($0.value) })
        for value in touched.sorted() {
            let isCutOut = gone.keys.contains { $0.value == value && coupling.isCutOut($0) }
            if isCutOut { try writeComputed(value) }
            guard !isCutOut, let data = try graph.constantData(value) else { continue }
            let copies = coupling.copies(of: value)
            guard copies.isEmpty else {
                try writeCopies(copies, of: value, data, places)
                continue
            }
            let tensor = try smaller(data, lost(value, data), named: graph.values[value].name)
            if let place = places[tensor.name] {
                proto.graph.initializer[place] = tensor
            } else if let producer = graph.values[value].producer,
                let place = proto.graph.node[producer].attribute.firstIndex(where: { $0.name == "value" })
            {
                proto.graph.node[producer].attribute[place] = AttributeProto(name: "value", tensor: tensor)
            }
        }
    }

    /// Stores what is left of a weight that is computed from others, for all that reads it but those.
    private mutating func writeComputed(_ value: Int) throws {
        guard let shape = coupling.shapes[value] else { return }
        let type = graph.values[value].elementType
        let whole = shape.reduce(type.bitWidth / 8, *)
        let data =
            try keepsContents
            ? coupling.computedWeight(value, of: graph)
            : TensorData(elementType: type, shape: shape, bytes: Data(count: whole))
        guard let data else { return }
        let own = names("\(graph.values[value].name)/part")
        proto.graph.initializer.append(try smaller(data, lost(value, data), named: own))
        for edge in coupling.consumers[value] where !coupling.computesWeights(edge.node) {
            proto.graph.node[edge.node].input[edge.slot] = own
        }
    }

    /// Writes a vector that several slots read: what is left of it in each, and the same once.
    private mutating func writeCopies(
        _ copies: [Int], of value: Int, _ data: TensorData, _ places: [String: Int]
    ) throws {
        let name = graph.values[value].name
        let lost = copies.map { self.lost($0, data) }
        var parts: [[BitSet]] = []
        for part in lost where !parts.contains(part) { parts.append(part) }
        // It keeps its name where nothing goes; if something goes everywhere, the first part has it.
        let kept = parts.first { $0.allSatisfy(\.isEmpty) } ?? parts[0]
        for part in parts {
            let own = part == kept ? name : names("\(name)/part")
            for (copy, lost) in zip(copies, lost) where lost == part {
                for edge in coupling.consumers[copy] { proto.graph.node[edge.node].input[edge.slot] = own }
            }
            let tensor = try smaller(data, part, named: own)
            if let place = places[own] {
                proto.graph.initializer[place] = tensor
            } else {
                proto.graph.initializer.append(tensor)
            }
        }
    }

    /// By axis, the positions of a stored value that go.
    private func lost(_ value: Int, _ data: TensorData) -> [BitSet] {
        data.shape.indices.map { gone[ValueAxis(value: value, axis: $0)] ?? [] }
    }

    private func smaller(_ data: TensorData, _ lost: [BitSet], named name: String) throws(GraphError)
        -> TensorProto
    {
        guard let smaller = data.without(lost, keepsContents: keepsContents) else {
            throw GraphError.notWritable(
                reason: "'\(name)' is of a type that cannot be cut: \(data.elementType.name)")
        }
        return TensorProto(name: name, smaller)
    }

    /// Changes what a node says of sizes.
    mutating func write(_ vertex: Vertex) throws {
        guard let rule = vertex.facts.slicing else { return }
        let gone =
            coupling.computesWeights(vertex.index) ? gone.filter { !coupling.isCutOut($0.key) } : gone
        var sliced = SlicedNode(vertex, proto.graph.node[vertex.index], graph, coupling, gone: gone)
        try rule(&sliced)
        var node = sliced.node
        for (slot, numbers) in sliced.lists {
            node.input += [String](repeating: "", count: max(0, slot + 1 - node.input.count))
            node.input[slot] = try list(numbers, for: vertex)
        }
        for (slot, changes) in sliced.replaced {
            if var numbers = sliced.integers(slot) {
                for (place, number) in changes { numbers[place] = number }
                node.input[slot] = try list(numbers, for: vertex)
            } else {
                node.input[slot] = try overridden(slot, changes, of: vertex)
            }
        }
        for (slot, factors) in sliced.scaled { node.input[slot] = try scaled(slot, factors, of: vertex) }
        if let factor = sliced.outputFactor { try multiplyOutput(of: &node, vertex, by: factor) }
        if !sliced.widened.isEmpty { try widen(&node, vertex, sliced) }
        proto.graph.node[vertex.index] = node
    }

    /// Has sizes that are computed with keep what they were: a head's size, of whose root the scale of an attention is made, and
    /// what is divided by the number of heads.
    mutating func keepSizesComputedWith() throws {
        var (before, after) = (
            ListedSizes(graph, shapes: coupling.shapes),
            ListedSizes(graph, shapes: coupling.shapes, gone: gone)
        )
        for vertex in graph.vertices where graph.keepsSizes(vertex) {
            for slot in vertex.inputs.indices {
                guard let old = before[vertex, slot], let new = after[vertex, slot], old != new else {
                    continue
                }
                var factors: [Int: (multiplier: Int, divisor: Int)] = [:]
                for (place, (old, new)) in zip(old, new).enumerated() {
                    if let old, let new, old != new, new > 0 { factors[place] = (old, new) }
                }
                guard !factors.isEmpty else { continue }
                proto.graph.node[vertex.index].input[slot] = try scaled(slot, factors, of: vertex)
            }
        }
    }

    /// Has what a node gives multiplied by a number.
    private mutating func multiplyOutput(of node: inout NodeProto, _ vertex: Vertex, by factor: Double) throws
    {
        guard let value = vertex.outputs.first ?? nil, let shape = coupling.shapes[value] else { return }
        let (output, plain, number) = (
            node.output[0], names("\(node.output[0])/plain"), names("\(node.output[0])/factor")
        )
        let constant = Constant(graph.values[value].elementType, rank: 0, filledWith: factor)
        proto.graph.initializer.append(TensorProto(name: number, try constant.tensorData()))
        node.output[0] = plain
        proto.graph.node.append(
            .product(plain, number, output: output, name: names("\(vertex.name)/scaling")))
        added[plain] = shape.indices.map { axis in
            shape[axis] - (gone[ValueAxis(value: value, axis: axis)]?.count ?? 0)
        }
    }

    /// Has a node work on zeros in the place of what goes: they are put behind what is left of its inputs along some axes, and
    /// its output is cut.
    private mutating func widen(_ node: inout NodeProto, _ vertex: Vertex, _ sliced: SlicedNode) throws {
        guard let output = sliced.shape() else { return }
        for slot in vertex.inputs.indices {
            guard let shape = sliced.shape(ofInput: slot) else { continue }
            let widened = sliced.widened.map { $0 - output.count + shape.count }.filter(
                shape.indices.contains)
            let missing = shape.indices.map { axis in
                widened.contains(axis) ? sliced.lost(ofInput: slot, axis: axis).count : 0
            }
            guard missing.contains(where: { $0 > 0 }) else { continue }
            let name = names("\(vertex.name)/whole")
            proto.graph.node.append(
                .padding(
                    node.input[slot], by: try list(missing.map { _ in 0 } + missing, for: vertex),
                    output: name, name: names("\(vertex.name)/zeros")))
            node.input[slot] = name
            added[name] = shape.indices.map { axis in
                sliced.size(ofInput: slot, axis: axis) + missing[axis]
            }
        }
        let (result, whole) = (node.output[0], names("\(node.output[0])/whole"))
        node.output[0] = whole
        added[whole] = output.indices.map { axis in
            sliced.widened.contains(axis) ? output[axis] : sliced.size(axis: axis)
        }
        proto.graph.node.append(
            .part(
                of: whole, from: try list(sliced.widened.map { _ in 0 }, for: vertex),
                to: try list(sliced.widened.map { sliced.size(axis: $0) }, for: vertex),
                axes: try list(sliced.widened, for: vertex), output: result,
                name: names("\(vertex.name)/left")))
    }

    /// - Parameter isScalar: whether it is a single number without an axis.
    private mutating func list(_ numbers: [Int], isScalar: Bool = false, for vertex: Vertex) throws -> String
    {
        let name = names("\(vertex.name)/sizes")
        let shape = isScalar ? [] : [numbers.count]
        proto.graph.initializer.append(
            TensorProto(name: name, try TensorData(int64s: numbers.map { Int64($0) }, shape: shape)))
        return name
    }

    /// A list that is computed when the model runs, with some of its numbers multiplied and divided.
    private mutating func scaled(
        _ slot: Int, _ factors: [Int: (multiplier: Int, divisor: Int)], of vertex: Vertex
    ) throws -> String {
        let (value, length) = try computedList(slot, of: vertex)
        let places = 0..<(length ?? 1)
        let multipliers = try list(
            places.map { factors[$0]?.multiplier ?? 1 }, isScalar: length == nil, for: vertex)
        let divisors = try list(
            places.map { factors[$0]?.divisor ?? 1 }, isScalar: length == nil, for: vertex)
        let (product, result) = (names("\(vertex.name)/product"), names("\(vertex.name)/sizes"))
        proto.graph.node += [
            .product(
                graph.values[value].name, multipliers, output: product, name: names("\(vertex.name)/scaling")),
            .quotient(product, divisors, output: result, name: names("\(vertex.name)/division")),
        ]
        for name in [product, result] { added[name] = length.map { [$0] } ?? [] }
        return result
    }

    /// The value in a slot that holds a list of sizes, and how many; `nil` for a single one without an axis.
    private func computedList(_ slot: Int, of vertex: Vertex) throws(GraphError) -> (value: Int, length: Int?)
    {
        guard let value = vertex.inputs[slot], let shape = coupling.shapes[value], shape.count <= 1,
            graph.values[value].elementType == .int64
        else {
            throw .notWritable(
                reason:
                    "it is not known how '\(vertex.name)' (\(vertex.operation)) computes the sizes in slot \(slot)"
            )
        }
        return (value, shape.first)
    }

    /// A list that is computed when the model runs, with other numbers in some places.
    private mutating func overridden(_ slot: Int, _ changes: [Int: Int], of vertex: Vertex) throws -> String {
        let (value, count) = try computedList(slot, of: vertex)
        let length = count ?? 0
        let condition = names("\(vertex.name)/replaced")
        let bytes = Data((0..<length).map { changes[$0] == nil ? 0 : 1 })
        proto.graph.initializer.append(
            TensorProto(name: condition, try TensorData(elementType: .bool, shape: [length], bytes: bytes)))
        let numbers = try list((0..<length).map { changes[$0] ?? 0 }, for: vertex)
        let result = names("\(vertex.name)/sizes")
        proto.graph.node.append(
            .choice(
                condition, numbers, graph.values[value].name, output: result,
                name: names("\(vertex.name)/choice")))
        added[result] = [length]
        return result
    }
}

extension TensorData {
    /// The tensor without some positions along each of its axes; `nil` for strings and packed numbers.
    ///
    /// - Parameter keepsContents: whether elements are copied; without it they are zeros.
    func without(_ lost: [BitSet], keepsContents: Bool) -> TensorData? {
        let width = elementType.bitWidth / 8
        guard elementType != .string, elementType.bitWidth % 8 == 0, width > 0 else { return nil }
        var (shape, bytes) = (self.shape, self.bytes)
        for axis in shape.indices where !lost[axis].isEmpty {
            let (length, inner) = (shape[axis], shape[(axis + 1)...].reduce(width, *))
            let outer = shape[..<axis].reduce(1, *)
            let kept = (0..<length).filter { !lost[axis].contains($0) }
            shape[axis] = kept.count
            guard keepsContents else { continue }
            let runs = Slice.Positions(axis: axis, ascending: kept).ranges
            var smaller = Data(count: outer * kept.count * inner)
            smaller.withUnsafeMutableBytes { smaller in
                bytes.withUnsafeBytes { whole in
                    var end = 0
                    for block in 0..<outer {
                        for run in runs {
                            let start = (block * length + run.lowerBound) * inner
                            let part = whole[start..<start + run.count * inner]
                            UnsafeMutableRawBufferPointer(rebasing: smaller[end..<end + part.count])
                                .copyMemory(from: UnsafeRawBufferPointer(rebasing: part))
                            end += part.count
                        }
                    }
                }
            }
            bytes = smaller
        }
        if !keepsContents { bytes = Data(count: shape.reduce(width, *)) }
        return try? TensorData(elementType: elementType, shape: shape, bytes: bytes)
    }
}
