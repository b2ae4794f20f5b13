internal import ONNX

/// Builds the nodes of the smaller model, vertex by vertex in topological order.
///
/// Every value of the original graph gets a ``Form``; rules turn a vertex whose inputs are no plain tensors into
/// less. Where no rule applies, constants are written out in full and the node stays as it is: always correct.
/// Nodes that nothing reads are swept out at the end, so rules emit freely.
struct Rewriter {
    let graph: Graph
    let shapes: ValueShapes
    let cuts: Cuts
    /// What slots read whose values are replaced by their means.
    let means: ValueMeans
    let liveness: Liveness
    let originals: OriginalConstants
    /// What the mask may have made infinite or NaN; `nil` for one removed edge, which cannot spoil the factor of its own
    /// zeros.
    private let risk: FinitenessRisk?
    /// By value index; `nil` for what is dead.
    var forms: FormTable
    var nodes: [NodeProto] = []
    /// New initialisers; those of a draft have no contents.
    var initializers: [(name: String, tensor: CostTally.StoredTensor, data: TensorData?)] = []
    var names: UniqueNames
    /// Whether weights get contents, or only shapes, since costs alone are asked for.
    let writesWeights: Bool
    /// The vertex that a node was made of, by the node's first output.
    var origins: [String: Int] = [:]
    /// The names of the vertices whose nodes have been emitted.
    var nodeNames: Set<String> = []
    var caches = Caches()
    /// Where sizes that follow from no input can be read.
    var sizeSources: [Extent: SizeSource] = [:]

    /// What has been emitted already and can be read again.
    struct Caches {
        /// Small initialisers by contents.
        var initializers: [TensorKey: String] = [:]
        /// Constants in full by constant and extents.
        var expansions: [ExpansionKey: String] = [:]
        /// Values written out in full, by value.
        var explicit: [Int: String] = [:]
        /// Values computed only for their shapes, by value.
        var forced: [Int: String] = [:]
        /// Sliced weights.
        var slices: [SliceKey: String] = [:]
        /// One-element tensors with the size of an axis.
        var sizes: [SizeExpression: String] = [:]
        /// Shapes that follow from the inputs'.
        var shapes: [[Extent]: String] = [:]
        /// Products of two sizes.
        var products: [Extent: String] = [:]
        /// One-element tensors with the size of a tensor's axis.
        var sourceSizes: [SizeSource: String] = [:]
        /// Axes of values whose sizes cannot be derived, as far as the search for one size has come.
        var underived: Set<[Int]> = []
        /// The shapes of model inputs, by input.
        var inputShapes: [Int: String] = [:]
    }

    /// - Parameters:
    ///   - originals: what other rewritings of the graph have decoded already.
    ///   - names: the names that the graph itself has.
    init(
        _ graph: Graph, _ mask: Mask, _ shapes: ValueShapes, means: ValueMeans = ValueMeans(),
        originals: OriginalConstants? = nil,
        names: UniqueNames? = nil, writesWeights: Bool = true
    ) {
        self.graph = graph
        self.shapes = shapes
        self.writesWeights = writesWeights
        self.means = means
        cuts = Cuts(mask, in: graph)
        liveness = Liveness(of: graph, under: mask)
        self.originals = originals ?? OriginalConstants(graph, shapes)
        self.names = names ?? UniqueNames(graph.model.model.graph)
        risk = mask.count > 1 ? FinitenessRisk(graph, mask) : nil
        forms = FormTable(graph, shapes.probes.first?.shapes ?? [])
    }

    /// Rewrites every live vertex.
    mutating func rewriteAll() throws {
        for index in graph.order where liveness.isLive[index] {
            let vertex = graph.vertices[index]
            try rewrite(vertex)
            for case let output? in vertex.outputs {
                if graph.isPinned[output] { try pin(output) }
                registerSizes(of: output)
            }
        }
    }

    /// Rewrites one vertex: as constants where these are known, otherwise by the first of its operator's rules that applies.
    mutating func rewrite(_ vertex: Vertex) throws {
        let operands = try operands(of: vertex)
        if try bypass(vertex, operands) { return }
        guard operands.contains(where: { $0?.isSpecial ?? false }) else {
            return emit(vertex, inputs: operands.map { $0.map(name(of:)) })
        }
        if isStandard(vertex) {
            if try rewriteConstant(vertex, operands) { return }
            for simplification in vertex.facts.simplifications
            where try simplification.apply(&self, vertex, operands) {
                return
            }
        }
        var inputs: [String?] = []
        for operand in operands { inputs.append(try operand.map { try explicit($0) }) }
        emit(vertex, inputs: inputs)
    }

    /// Whether rules may look inside: an operator of ai.onnx without subgraphs.
    func isStandard(_ vertex: Vertex) -> Bool {
        (vertex.node.domain.isEmpty || vertex.node.domain == "ai.onnx") && vertex.captured.isEmpty
            && vertex.node.subgraphs.isEmpty
    }

    /// What the vertex reads, slot by slot; `nil` where an optional input is left out.
    private mutating func operands(of vertex: Vertex) throws -> [Operand?] {
        var operands: [Operand?] = []
        for (slot, value) in vertex.inputs.enumerated() {
            guard let value else {
                operands.append(nil)
                continue
            }
            let type = graph.values[value].elementType
            let extents = graph.values[value].hasDynamicShape ? nil : shapes.extents(of: value)
            let isCut = cuts.contains(vertex.index, slot)
            var operand = Operand(
                value: value, isCut: isCut, form: .tensor(graph.values[value].name), extents: extents,
                elementType: type)
            switch cuts.source(vertex.index, slot) {
            // Slices are left out of the graph before it is rewritten.
            case nil, .part?: if let form = forms[value] { operand.form = form }
            case .value(let other)?:
                // Of the same shape: the form of one is a form of the other.
                operand = Operand(
                    value: other, isCut: false, form: forms[other] ?? .tensor(graph.values[other].name),
                    extents: extents, elementType: type)
            case .zero?:
                operand.form = try constantForm(Constant(type, rank: extents?.count ?? 0), value, extents)
            case .mean(let averaged)?:
                operand.form = try constantForm(
                    means.constant(averaged, type, rank: extents?.count), value, extents)
            }
            operands.append(operand)
        }
        return operands
    }

    private mutating func constantForm(_ constant: Constant, _ value: Int, _ extents: [Extent]?) throws
        -> Form
    {
        extents == nil ? .tensor(try expanded(constant, toShapeOf: reference(value))) : .uniform(constant)
    }

    /// The tensor that an operand with a plain form is in.
    func name(of operand: Operand) -> String {
        if case .tensor(let name) = operand.form { name } else { graph.values[operand.value].name }
    }

    /// Lets the consumers of a vertex that only renames its input read that.
    private mutating func bypass(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard isStandard(vertex), let output = vertex.outputs.first ?? nil,
            let operand = operands.first ?? nil
        else {
            return false
        }
        switch vertex.facts.renaming {
        case .never: return false
        case .always: break
        case .when(let holds): guard try holds(self, vertex) else { return false }
        }
        forms[output] = operand.form
        return true
    }

    /// Whether anything reads a value, or it is an output.
    func isRead(_ value: Int) -> Bool { graph.isPinned[value] || !graph.consumers[value].isEmpty }

    /// The outputs as constants, where evaluation gives them.
    private mutating func rewriteConstant(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard let results = try evaluation(vertex, operands).results() else { return false }
        let size = operands.reduce(0) { $0 + (elementCount($1) ?? 0) }
        for (position, output) in vertex.outputs.enumerated() {
            guard let output, isRead(output) else { continue }
            guard results.indices.contains(position), results[position].count <= max(4096, size) else {
                return false
            }
        }
        for (output, result) in zip(vertex.outputs, results) {
            if let output { forms[output] = .uniform(result) }
        }
        return true
    }

    /// The elements of a constant operand.
    private func elementCount(_ operand: Operand?) -> Int? {
        guard let operand else { return nil }
        if let constant = operand.constant { return constant.count }
        return graph.values[operand.value].constant?.count
    }

    /// The vertex as evaluation sees it, with the operands' forms.
    func evaluation(_ vertex: Vertex, _ operands: [Operand?]) -> Evaluation {
        Evaluation(
            vertex: vertex,
            inputs: operands.map { operand in
                guard let operand else { return .init(source: .absent, extents: nil) }
                return .init(
                    source: source(of: operand), extents: operand.extents,
                    mayBeInfinite: !operand.isCut && risk?[operand.value] ?? false)
            },
            outputs: vertex.outputs.map { output in
                .init(
                    extents: output.flatMap { extents(of: $0) },
                    elementType: output.map { graph.values[$0].elementType } ?? .float32)
            },
            originals: originals)
    }

    private func source(of operand: Operand) -> Evaluation.Input.Source {
        switch operand.form {
        case .uniform(let constant): .constant(constant)
        case .tensor where !operand.isCut && isOriginalConstant(operand.value): .original(operand.value)
        default: .live
        }
    }

    /// Whether the value may follow from initialisers alone.
    func isOriginalConstant(_ value: Int) -> Bool {
        originals.isStored(value)
            || (graph.values[value].producer != nil && !graph.values[value].dependsOnData)
    }

    /// The sizes of a value's axes; `nil` when they follow from elements of an input, or no run tells.
    func extents(of value: Int) -> [Extent]? {
        graph.values[value].hasDynamicShape ? nil : shapes.extents(of: value)
    }
}
