public import ComputationGraph
internal import Datasets
internal import Engine
public import Search
internal import Work

/// What `score` is asked for.
public struct ScoreOptions: Sendable, Hashable {
    /// How edges are scored.
    public var criterion: Criterion
    /// Which edges are scored.
    public var candidates: CandidateSelection
    /// What the Taylor criteria and the exact order make small.
    public var objective: Objective
    /// What is removed before anything is scored.
    public var state: Mask
    /// Seeds the criterion `random`.
    public var seed: UInt64
    /// Whether every candidate's exact change is measured too.
    public var measuresExactly: Bool

    /// Options as the command line gives them.
    public init(
        criterion: Criterion, candidates: CandidateSelection = .branches, objective: Objective = .absolute,
        state: Mask = .empty, seed: UInt64 = 0, measuresExactly: Bool = false
    ) {
        self.criterion = criterion
        self.candidates = candidates
        self.objective = objective
        self.state = state
        self.seed = seed
        self.measuresExactly = measuresExactly
    }
}

/// The scores of one criterion, before anything is measured.
struct Scores {
    var values: [Double?]
    /// The loss change that the criterion predicts, where it predicts one.
    var changes: [Double?]?
    /// The second derivatives that were used.
    var matrix: [[Double]] = []
    var gaps: [NonDifferentiablePath] = []
}

extension Workload {
    /// The scores of `edges` by one criterion.
    ///
    /// - Parameter state: what is removed already: scores are those of the pruned model.
    /// - Throws: `EngineError`, or libtorch's error where an operator lacks a derivative that the criterion needs.
    func scores(
        of edges: [Edge], at state: Mask = .empty, by criterion: Criterion, objective: Objective,
        seed: UInt64,
        interruption: Interruption?, observer: (any PruneObserver)? = nil
    ) throws -> Scores {
        func predicted(
            _ measurement: GateMeasurement, _ second: (Int) -> Double, share: ((Int) -> Double)? = nil
        )
            -> Scores
        {
            func finite(_ value: Double) -> Double? { value.isFinite ? value : nil }
            let changes = edges.indices.map { finite(-measurement.gradients[$0] + second($0) / 2) }
            let terms =
                share.map { share in
                    edges.indices.map { finite(-measurement.gradients[$0] + share($0) / 2) }
                } ?? changes
            return Scores(
                values: terms.map { $0.map { objective.value(loss: $0, base: 0) } }, changes: changes,
                matrix: measurement.matrix, gaps: measurement.gaps)
        }
        switch criterion {
        case .taylor1:
            return predicted(
                try GateMeasurement(
                    self, edges: edges, at: state, interruption: interruption, observer: observer)
            ) { _ in 0 }
        case .taylor2, .taylor2Full, .gaussNewton:
            let measured = try GateMeasurement(
                self, edges: edges, at: state, curvature: criterion == .gaussNewton ? .gaussNewton : .hessian,
                interruption: interruption, observer: observer)
            let rowSums: ((Int) -> Double)? =
                criterion == .taylor2Full ? { measured.matrix[$0].reduce(0, +) } : nil
            return predicted(measured, { measured.matrix[$0][$0] }, share: rowSums)
        case .fisher:
            let measured = try GateMeasurement(
                self, edges: edges, at: state, wantsSquares: true, interruption: interruption,
                observer: observer)
            let values = (measured.squares ?? []).map { $0.isFinite ? $0 / 2 : nil }
            return Scores(values: values, changes: values, gaps: measured.gaps)
        case .flow: return Scores(values: try codingRates(of: edges, at: state, interruption: interruption))
        case .magnitude:
            let norms = try WeightSaliency(network, dataset: dataset, state: state).magnitudes(of: edges)
            return Scores(values: norms.map { $0.isFinite ? $0 : nil })
        case .synflow:
            return Scores(
                values: try WeightSaliency(network, dataset: dataset, state: state).synapticFlow(of: edges))
        case .random:
            var random = SplitMix64(seed: seed)
            return Scores(values: edges.map { _ in Double.random(in: 0..<1, using: &random) })
        }
    }

    /// Coding rates, averaged over the blocks by their number of samples.
    private func codingRates(of edges: [Edge], at state: Mask, interruption: Interruption?) throws
        -> [Double?]
    {
        let gates = try GateEvaluator(network, dataset: dataset, loss: loss, edges: edges, state: state)
        var sums = [Double?](repeating: 0, count: edges.count)
        for samples in BlockList(naturalOrder: division).samples {
            try interruption?.check()
            let rates = try gates.codingRates(samples: samples)
            sums = zip(sums, rates).map { sum, rate in
                sum.flatMap { sum in rate.map { sum + $0 * Double(samples.count) } }
            }
        }
        return sums.map { $0.map { $0 / Double(dataset.samples) } }
    }

    /// The exact state of each edge's removal from `state`; `nil` where a loss is no finite number.
    func exactSingles(
        of edges: [Edge], at state: Mask = .empty, objective: Objective, base: State,
        interruption: Interruption?,
        observer: (any PruneObserver)? = nil
    ) async throws -> [State?] {
        let work = CountedWork(
            "measuring every candidate", unit: "block evaluations",
            total: edges.count * BlockList(naturalOrder: division).ids.count, observer: observer)
        let local = try runner(progress: { source in
            guard let race = source as? LevelRace else { return }
            work.advanced(to: race.workSoFar.blockEvaluations)
            try interruption?.check()
        })
        let expansions = edges.map { edge in
            let variant = Variant(state.removing(Unit(edge)))
            return Expansion(
                parent: 0, unit: Unit(edge), variant: variant, cost: costs.cost(of: variant.mask))
        }
        let level = Level(
            number: 1, parents: [FrontierState(unmeasured: Variant(state), division)], expansions: expansions,
            keep: expansions.count, baseLoss: base.loss, objective: objective)
        let outcome = try await local.run(LevelRace(level, division: division, usesBounds: false)).outcome()
        let found = Dictionary(outcome.best.compactMap { state in state.unit.map { ($0, state) } }) {
            first, _ in first
        }
        return edges.map { found[Unit($0)] }
    }
}
