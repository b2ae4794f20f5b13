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
    fileprivate var isGiven: Bool { if case .edges = self { true } else { false } }
}

/// The candidates of a graph, with equivalent ones gathered into classes.
public struct Candidates: Sendable {
    /// One edge per class, in canonical order: what the search tries.
    public let representatives: [Edge]
    /// The other members of each representative's class, in canonical order. Removing one of them computes the same.
    public let equivalents: [Edge: [Edge]]

    /// All candidates, representatives and equivalents, in canonical order.
    public var all: [Edge] { (representatives + equivalents.values.joined()).sorted() }

    /// The candidates of `graph` that `selection` names.
    ///
    /// - Parameter costs: tells what removals save, to find blocks, and which leave an output constant, for those are no
    ///   candidates; without it, what follows from the file alone.
    /// - Throws: `GraphError` when the selection names an edge that is no candidate, a pattern that is no regular
    ///   expression, or nothing at all.
    public init(of graph: Graph, selection: CandidateSelection, costs: CostModel? = nil) throws {
        let selected = try Candidates.edges(of: graph, selection: selection, costs: costs)
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
    }

    /// What the search tries, in canonical order.
    public var units: [Unit] { representatives.map { Unit($0) } }

    /// The expansions of `mask`: units that it does not remove, of vertices that are live under it, and whose removal keeps
    /// every output depending on a model input.
    public func expansions(of mask: Mask, in graph: Graph) -> [Unit] {
        let liveness = Liveness(of: graph, under: mask)
        return units.filter { unit in
            liveness.isLive[unit.edge.node] && !mask.contains(unit)
                && Liveness(of: graph, under: mask.removing(unit)).isConnected
        }
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
        let removable = every.filter { Liveness(of: graph, under: Mask([Unit($0)])).isConnected }
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
            let expression: Regex<AnyRegexOutput>
            do { expression = try Regex(pattern) } catch {
                throw GraphError.badPattern(pattern, reason: "\(error)")
            }
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

    /// Checks that `unit` exists and may be removed.
    ///
    /// - Throws: `GraphError` that says what is wrong with it.
    public func requireCandidate(_ unit: Unit) throws(GraphError) { try requireCandidate(unit.edge) }

    /// Checks that `edge` exists and may be removed.
    ///
    /// - Throws: `GraphError` that says what is wrong with it.
    public func requireCandidate(_ edge: Edge) throws(GraphError) {
        guard vertices.indices.contains(edge.node) else {
            throw .unknownEdge(edge, reason: "the model has \(vertices.count) nodes, numbered from 0")
        }
        let vertex = vertices[edge.node]
        guard let value = value(on: edge) else {
            throw .unknownEdge(
                edge, reason: "node \(edge.node) (\(vertex.name)) has \(vertex.inputs.count) inputs")
        }
        guard Candidates.isCandidate(edge, in: self, liveness: Liveness(of: self, under: .empty)) else {
            throw .unknownEdge(
                edge,
                reason:
                    "'\(values[value].name)' into node \(edge.node) (\(vertex.name)) is no floating-point value "
                    + "that depends on a model input and reaches an output")
        }
    }
}
