internal import ONNX

/// Which edges a search may remove.
public enum CandidateSelection: Sendable, Hashable, Codable {
    /// Every edge that carries a floating-point value depending on a model input.
    case all
    /// Those that enter a vertex with two or more live activations: skip connections, residual branches,
    /// attention and MLP blocks.
    case branches
    /// Those of the branches that people mean: see ``Blocks``.
    case blocks
    /// The blocks whose name, in the exporter's module names, the whole regular expression matches; where there are none
    /// such, those whose consumer's name, consumer's operator or tensor name matches the regular expression.
    case matching(String)
    /// Exactly these.
    case edges([Edge])
}

extension CandidateSelection {
    /// Whether it names its edges one by one.
    var isGiven: Bool { if case .edges = self { true } else { false } }

    /// The pattern that names must match; `nil` where there is none.
    func expression() throws(GraphError) -> Regex<AnyRegexOutput>? {
        guard case .matching(let pattern) = self else { return nil }
        do { return try Regex(pattern) } catch { throw .badPattern(pattern, reason: "\(error)") }
    }
}

/// What kinds of units a search removes, and what removed slices read.
public struct UnitSelection: Sendable, Hashable, Codable {
    /// The kinds.
    public var kinds: Set<Unit.Kind>
    /// What removed slices read. Edges cannot be bypassed, nor can layers that change the shape: they read zeros then.
    /// Channels, heads and neurons read zeros always.
    public var replacement: Replacement
    /// How channels, heads and neurons are divided into units.
    public var chunking = Chunking()

    /// Edges that read zeros, unless told otherwise.
    public init(kinds: Set<Unit.Kind> = [.edge], replacement: Replacement = .zero) {
        self.kinds = kinds
        self.replacement = replacement
    }

    private enum CodingKeys: String, CodingKey { case kinds, replacement, chunking }

    /// Reads what `encode(to:)` wrote.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            kinds: try container.decode(Set<Unit.Kind>.self, forKey: .kinds),
            replacement: try container.decode(Replacement.self, forKey: .replacement))
        chunking = try container.decodeIfPresent(Chunking.self, forKey: .chunking) ?? Chunking()
    }

    /// Writes the kinds, what they read, and where there are chunks, how they are made.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(kinds, forKey: .kinds)
        try container.encode(replacement, forKey: .replacement)
        if kinds.contains(where: \.isSliced) { try container.encode(chunking, forKey: .chunking) }
    }

    /// What a removed edge reads.
    public var edgeReplacement: Replacement { replacement == .mean ? .mean : .zero }
}

/// The candidates of a graph, with equivalent ones gathered into classes.
public struct Candidates: Sendable {
    /// One edge per class, in canonical order: what the search tries.
    public let representatives: [Edge]
    /// The other members of each representative's class, in canonical order. Removing one of them computes the same.
    public let equivalents: [Edge: [Edge]]
    /// What the search tries, in canonical order: the representatives with what they read instead, layers, and chunks of
    /// channels, heads and neurons.
    public private(set) var units: [Unit]
    /// By unit that is made of positions, the one of the same layer that has to go before it.
    public private(set) var predecessors: [Unit: Unit]
    /// The groups of channels, heads and neurons; none where none may go.
    public let sliceGroups: SliceGroups?
    /// How they become units.
    public let chunking: Chunking
    /// The places of the groups of which something may go.
    private let selectedGroups: [Int]

    /// All candidates, representatives and equivalents, in canonical order.
    public var all: [Edge] { (representatives + equivalents.values.joined()).sorted() }

    /// The candidates of `graph` that `selection` names.
    ///
    /// - Parameter costs: tells what removals save, to find blocks, and which leave an output constant, for those are no
    ///   candidates; without it, what follows from the file alone.
    /// - Throws: `GraphError` when the selection names an edge that is no candidate, a pattern that is no regular
    ///   expression, or nothing at all.
    public init(
        of graph: Graph, selection: CandidateSelection, units: UnitSelection = UnitSelection(),
        costs: CostModel? = nil
    ) throws {
        let layers =
            units.kinds.contains(.layer)
            ? try Candidates.layers(of: graph, selection, replacement: units.replacement, costs: costs) : []
        var selected: [Edge] = []
        if units.kinds.contains(.edge) {
            do { selected = try Candidates.edges(of: graph, selection: selection, costs: costs) } catch {
                // A pattern may match layers alone.
                guard case GraphError.nothingMatches = error,
                    !layers.isEmpty || units.kinds.contains(where: \.isSliced)
                else { throw error }
            }
        } else if case .matching(let pattern) = selection, layers.isEmpty, units.kinds == [.layer] {
            throw GraphError.nothingMatches(pattern)
        }
        let classes = EquivalenceClasses(of: graph)
        var representatives: [Edge] = []
        var equivalents: [Edge: [Edge]] = [:]
        var representative: [Edge: Edge] = [:]
        for edge in selected {
            let root = classes.last(of: edge)
            if let first = representative[root] {
                equivalents[first, default: []].append(edge)
            } else {
                representative[root] = edge
                representatives.append(edge)
            }
        }
        if let costs, !selection.isGiven {
            // By value, not by wiring alone: zeros may leave an output constant although it still reads an input.
            let alive = representatives.filter {
                costs.assessment(of: Mask([Unit($0)]))?.constantOutputs.isEmpty ?? false
            }
            for edge in Set(representatives).subtracting(alive) { equivalents[edge] = nil }
            representatives = alive
        }
        self.representatives = representatives
        self.equivalents = equivalents
        // A layer that goes with one of the edges is no second candidate.
        var known = Set(representatives.map { classes.canonical(Unit($0)) })
        let others = layers.filter { known.insert(classes.canonical($0)).inserted }
        sliceGroups = units.kinds.contains(where: \.isSliced) ? SliceGroups(of: graph) : nil
        selectedGroups = try sliceGroups?.selected(units, of: graph, selection) ?? []
        chunking = units.chunking
        predecessors = [:]
        self.units = representatives.map { Unit($0, replacement: units.edgeReplacement) } + others
        order(by: nil)
    }

    /// The same, with channels, heads and neurons in the order that a criterion gives.
    public func ordered(by scores: SliceScores) -> Candidates {
        var candidates = self
        candidates.order(by: scores)
        return candidates
    }

    private mutating func order(by scores: SliceScores?) {
        let chunks = selectedGroups.compactMap { place in
            sliceGroups.map { chunking.units(of: $0.groups[place], scores: scores?[place]) }
        }
        predecessors = Dictionary(
            uniqueKeysWithValues: chunks.flatMap { zip($0.dropFirst(), $0).map { ($0, $1) } })
        units = (units.filter { !$0.kind.isSliced } + chunks.joined()).sorted()
    }

    /// The criterion that the order inside layers is worked out by anew from every state; `nil` where it stays.
    public var renewedCriterion: SliceCriterion? {
        chunking.isRenewed && !selectedGroups.isEmpty ? chunking.order.criterion : nil
    }

    /// The criterion that needs data to give an order; `nil` where there is none.
    public var criterion: SliceCriterion? { selectedGroups.isEmpty ? nil : chunking.order.criterion }

    /// Whether the order inside a layer lets a unit go under a mask.
    public func allows(_ unit: Unit, under mask: Mask) -> Bool {
        predecessors[unit].map { mask.contains($0) } ?? true
    }

    /// The share of all operations whose saving makes a candidate of a layer without weights.
    private static let leastShare = 0.001

    /// Layers whose output may be replaced: one value that depends on the data and is no output of the model. Of `blocks`
    /// and patterns, those whose removal saves something.
    private static func layers(
        of graph: Graph, _ selection: CandidateSelection, replacement: Replacement, costs: CostModel?
    ) throws -> [Unit] {
        if selection.isGiven { return [] }
        let expression = try selection.expression()
        let liveness = Liveness(of: graph, under: .empty)
        let base = costs?.cost(of: .empty)
        return graph.vertices.compactMap { vertex in
            guard liveness.isLive[vertex.index], selection == .all || vertex.facts.role.isLayer,
                let unit = graph.layer(vertex, replacement: replacement, costs: costs),
                Liveness(of: graph, under: Mask([unit])).isConnected
            else { return nil }
            if let expression {
                let names = [vertex.name, vertex.operation, unit.description]
                let isNamed = ModulePath(of: vertex.node)?.description.wholeMatch(of: expression) != nil
                guard isNamed || names.contains(where: { $0.firstMatch(of: expression) != nil }) else {
                    return nil
                }
            }
            guard let costs, let base else { return unit }
            guard let assessment = costs.assessment(of: Mask([unit])), assessment.constantOutputs.isEmpty
            else {
                return nil
            }
            let saved = base.flops - assessment.cost.flops
            let isWorthwhile =
                base.parameters > assessment.cost.parameters
                || Double(saved) >= leastShare * Double(base.flops) && saved > 0
            return selection == .all || isWorthwhile ? unit : nil
        }
    }

    /// The expansions of `mask`: units that it does not remove, of vertices that are live under it, and whose removal keeps
    /// every output depending on a model input.
    ///
    /// - Parameter scores: what a criterion says of the state, where the order inside layers is renewed.
    public func expansions(of mask: Mask, in graph: Graph, scores: SliceScores? = nil) -> [Unit] {
        let liveness = Liveness(of: graph, under: mask)
        let staysConnected = graph.staysConnected(under: mask)
        return units(after: mask, scores).filter { unit in
            liveness.isLive[unit.edge.node] && !mask.contains(unit) && staysConnected(unit)
        }
    }

    /// The units that the order inside layers lets go under a mask.
    private func units(after mask: Mask, _ scores: SliceScores?) -> [Unit] {
        guard let scores, let sliceGroups else { return units.filter { allows($0, under: mask) } }
        let next = selectedGroups.compactMap { place in
            let group = sliceGroups.groups[place]
            return chunking.nextUnit(
                of: group, without: group.atoms(goneUnder: mask), scores: scores[place])
        }
        return (units.filter { !$0.kind.isSliced } + next).sorted()
    }

    /// Whether `edge` may be removed at all: it carries a floating-point value that depends on a model input, into a
    /// vertex that reaches an output.
    static func isCandidate(_ edge: Edge, in graph: Graph, liveness: Liveness) -> Bool {
        guard let value = graph.value(on: edge) else { return false }
        return graph.values[value].dependsOnData && graph.values[value].elementType.isFloatingPoint
            && liveness.isLive[edge.node] && !graph.vertices[edge.node].facts.readsOnlyShape
    }

    private static func edges(
        of graph: Graph, selection: CandidateSelection, costs: CostModel?
    ) throws -> [Edge] {
        let liveness = Liveness(of: graph, under: .empty)
        let every = graph.vertices.flatMap { vertex in
            vertex.inputs.indices.map { Edge(node: vertex.index, slot: $0) }
        }.filter { isCandidate($0, in: graph, liveness: liveness) }
        let bridges = Bridges(of: graph, under: .empty)
        let removable = every.filter { !bridges.contains($0) }
        let entering = Dictionary(grouping: every, by: \.node).mapValues(\.count)
        let branches = removable.filter { entering[$0.node, default: 0] >= 2 }
        func blocks() -> [Block] {
            let costs =
                costs ?? CostModel(graph: graph, shapes: graph.values.map { _ in nil }, samples: 1)
            return Blocks(of: graph, among: branches, costs: costs).all
        }
        switch selection {
        case .all: return removable
        case .branches: return branches
        case .blocks: return blocks().map(\.edge)
        case .matching(let pattern):
            guard let expression = try selection.expression() else { return [] }
            // A pattern that matches anything has always meant every edge.
            if "".wholeMatch(of: expression) == nil, graph.hasModuleNames {
                let named = blocks().filter { $0.name?.wholeMatch(of: expression) != nil }
                if !named.isEmpty { return named.map(\.edge) }
            }
            let matching = removable.filter { edge in
                let vertex = graph.vertices[edge.node]
                let tensor = graph.values[graph.value(on: edge)!].name
                return [vertex.name, vertex.operation, tensor, edge.description].contains {
                    $0.firstMatch(of: expression) != nil
                }
            }
            if matching.isEmpty { throw GraphError.nothingMatches(pattern) }
            return matching
        case .edges(let edges):
            for edge in edges { try graph.requireCandidate(edge) }
            let chosen = Set(edges)
            return every.filter(chosen.contains)
        }
    }
}

extension Graph {
    /// Whether the file tells which modules its nodes were exported from.
    public var hasModuleNames: Bool { vertices.contains { ModulePath(of: $0.node) != nil } }

    /// The blocks among the edges of `candidates`, with what each saves.
    public func blocks(among candidates: [Edge], costs: CostModel) -> [Block] {
        Blocks(of: self, among: candidates, costs: costs).all
    }

    /// The unit of a layer, with the replacement that it can have; `nil` where it has none: where it computes several
    /// values, no floating-point value that depends on the data, or an output of the model.
    ///
    /// - Parameter costs: tells whether a layer's input has the shape of its output.
    func layer(_ vertex: Vertex, replacement: Replacement, costs: CostModel?) -> Unit? {
        let written = vertex.outputs.compactMap { $0 }.filter { isPinned[$0] || !consumers[$0].isEmpty }
        guard written.count == 1, let output = written.first, output == vertex.outputs.first ?? nil,
            !isPinned[output], values[output].dependsOnData, values[output].elementType.isFloatingPoint,
            let slot = vertex.inputs.firstIndex(where: { input in
                input.map { values[$0].dependsOnData && values[$0].elementType.isFloatingPoint } ?? false
            }), let input = vertex.inputs[slot]
        else { return nil }
        let canBypass =
            replacement == .bypass && values[input].elementType == values[output].elementType
            && costs?.haveEqualShapes(input, output) ?? false
        return .layer(
            at: Edge(node: vertex.index, slot: slot),
            replacement: replacement == .mean ? .mean : canBypass ? .bypass : .zero)
    }
}
