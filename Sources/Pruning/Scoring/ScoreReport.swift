internal import ComputationGraph
internal import Datasets
internal import Engine
public import Report
public import Search

/// What `score` found, in the form of its JSON.
public struct ScoreReport: Encodable, Sendable {
    /// One candidate.
    public struct Entry: Encodable, Sendable {
        /// The edge.
        public let edge: NamedEdge
        /// Smaller is to be removed sooner; `nil` where the criterion gives no number.
        public let score: Double?
        /// L′ − L as the criterion predicts it.
        public let predictedChange: Double?
        /// L′ − L as measured.
        public let exactChange: Double?
        /// L′ as measured.
        public let exactLoss: Double?
    }

    /// What trusting the criterion's first choice costs.
    public struct RegretEntry: Encodable, Sendable {
        /// The edge with the smallest score.
        public let chosen: NamedEdge
        /// The edge with the smallest exact objective.
        public let best: NamedEdge
        /// The exact objective of `chosen` minus that of `best`.
        public let regret: Double
        /// The place of `chosen` in the exact order, from 1.
        public let exactRank: Int
    }

    /// The criterion that the scores are of.
    public let criterion: Criterion
    /// The criterion that was asked for.
    public let requested: Criterion
    /// What counts as little.
    public let objective: Objective
    /// The loss's name.
    public let lossFunction: String
    /// Samples that were measured.
    public let samples: Int
    /// What was removed beforehand; `nil` where nothing was.
    public let removed: [NamedEdge]?
    /// The model that edges are removed from.
    public let base: MeasuredState.FixedForm
    /// In canonical order of edges.
    public let scores: [Entry]
    /// The matrix of second derivatives, in the order of `scores`; `nil` where none was used.
    public let hessian: [[Double]]?
    /// Spearman's ρ of scores and exact objectives; `nil` where it is not defined or nothing was measured.
    public let spearman: Double?
    /// Kendall's τ-b of the same.
    public let kendall: Double?
    /// What trusting the first choice costs; `nil` where nothing was measured.
    public let regret: RegretEntry?
    /// What stands in for what could not be computed.
    public let warnings: [String]

    /// Scores the candidates.
    ///
    /// Where an operator lacks a derivative, a simpler criterion is used, with a warning that names it.
    public init(
        _ options: ScoreOptions, of workload: Workload, interruption: Interruption? = nil,
        observer: (any PruneObserver)? = nil
    ) async throws {
        let graph = workload.graph
        for unit in options.state.units { try graph.requireCandidate(unit) }
        let candidates = try Candidates(of: graph, selection: options.candidates, costs: workload.costs)
        let edges =
            options.state.isEmpty
            ? candidates.representatives
            : candidates.expansions(of: options.state, in: graph).compactMap(\.plainEdge)
        removed = options.state.isEmpty ? nil : options.state.units.map { NamedEdge($0.edge, in: graph) }
        let unpruned = try await workload.measure(options.state, observer: observer)
        guard unpruned.loss.isFinite else {
            throw SearchError.baseNotFinite(samples: unpruned.nonFiniteLosses)
        }
        let (used, found, warnings) = try ScoreReport.scores(
            options, edges, workload, interruption, observer: observer)
        var exact = [State?](repeating: nil, count: edges.count)
        if options.measuresExactly {
            exact = try await workload.exactSingles(
                of: edges, at: options.state, objective: options.objective, base: unpruned,
                interruption: interruption,
                observer: observer)
        }
        criterion = used
        requested = options.criterion
        objective = options.objective
        lossFunction = workload.loss.name
        samples = workload.dataset.samples
        base = MeasuredState.FixedForm(
            MeasuredState(unpruned, baseLoss: unpruned.loss, countedLabels: workload.countedLabels))
        let entries = edges.indices.map { index in
            let loss = exact[index].flatMap { $0.loss.isFinite ? $0.loss : nil }
            return Entry(
                edge: NamedEdge(edges[index], in: graph), score: found.values[index],
                predictedChange: found.changes?[index], exactChange: loss.map { $0 - unpruned.loss },
                exactLoss: loss)
        }
        scores = entries
        hessian = found.matrix.isEmpty || found.matrix.joined().contains { !$0.isFinite } ? nil : found.matrix
        self.warnings = warnings

        // Only candidates that have both a score and a measured change can be compared.
        let compared = edges.indices.filter { entries[$0].score != nil && entries[$0].exactLoss != nil }
        let given = compared.compactMap { entries[$0].score }
        let exactObjectives = compared.compactMap { index in
            entries[index].exactLoss.map { options.objective.value(loss: $0, base: unpruned.loss) }
        }
        spearman = RankCorrelation.spearman(given, exactObjectives)
        kendall = RankCorrelation.kendall(given, exactObjectives)
        regret = Regret(edges: compared.map { edges[$0] }, scores: given, objectives: exactObjectives).map {
            RegretEntry(
                chosen: NamedEdge($0.chosen, in: graph), best: NamedEdge($0.best, in: graph),
                regret: $0.regret,
                exactRank: $0.exactRank)
        }
    }

    /// The scores by the criterion asked for, or by the first of its fallbacks that the operators allow.
    static func scores(
        _ options: ScoreOptions, _ edges: [Edge], _ workload: Workload, _ interruption: Interruption?,
        observer: (any PruneObserver)? = nil
    ) throws -> (Criterion, Scores, [String]) {
        var criterion = options.criterion
        var warnings: [String] = []
        while true {
            do {
                let found = try workload.scores(
                    of: edges, at: options.state, by: criterion, objective: options.objective,
                    seed: options.seed,
                    interruption: interruption, observer: observer)
                warnings += found.gaps.map { "\($0): its measured change stands in for the gradient" }
                for (edge, value) in zip(edges, found.values) where value == nil {
                    warnings.append("edge \(edge): \(criterion.rawValue) gives no finite number")
                }
                return (criterion, found, warnings)
            } catch let error as Interrupted { throw error } catch {
                guard let next = criterion.fallback else { throw error }
                warnings.append(
                    "\(criterion.rawValue) cannot be computed for this model (\(error)); using \(next.rawValue) instead"
                )
                criterion = next
            }
        }
    }
}
