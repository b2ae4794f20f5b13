internal import ComputationGraph
internal import Engine
internal import Report
internal import Search
internal import Work

extension Comparison {
    /// How well a cheap criterion orders removals, held against the exact losses after the recovery.
    public struct Agreement: Sendable {
        /// The number of removals of the state that is expanded.
        public let step: Int
        /// The criterion's name; `loss-at-cut` is the exact loss before the recovery.
        public let criterion: String
        /// The removals that have both a score and a measured loss.
        public let compared: Int
        /// Kendall's τ-b of scores and exact objectives; `nil` where it is not defined.
        public let kendall: Double?
        /// What trusting the criterion's first choice costs; `nil` where nothing could be compared.
        public let regret: Double?
        /// The place of the first choice in the exact order, from 1.
        public let exactRank: Int?
    }

    /// The name of the exact loss before the recovery among criteria.
    static let lossAtCut = "loss-at-cut"

    /// Measures every expansion of the states of a path, before and after the recovery, and holds criteria against that: all of
    /// them at the unpruned model, `chosen` ones at deeper states too.
    static func agreements(
        along path: [State], from base: State, _ problem: SearchProblem, _ workload: Workload,
        criteria chosen: [Criterion], settings: SearchSettings, _ runner: any WorkRunner,
        _ interruption: Interruption
    ) async throws -> [Agreement] {
        var found: [Agreement] = []
        let blocks = BlockList(hardestFirst: base, problem.division)
        for (step, state) in ([base] + path.dropLast()).enumerated() {
            let units = problem.candidates.expansions(of: state.mask, in: problem.graph).filter { unit in
                problem.costs.assessment(of: state.mask.removing(unit))?.constantOutputs.isEmpty ?? false
            }
            func objectives(_ start: Variant) async throws -> [Double?] {
                // The stage of the level that the states' expansions are of, so that what it measured is taken over.
                let level = Level(
                    number: step + 1,
                    parents: [FrontierState(unmeasured: start, like: blocks)],
                    expansions: units.map { unit in
                        let variant = start.removing(unit)
                        return Expansion(
                            parent: 0, unit: unit, variant: variant,
                            cost: problem.costs.cost(of: variant.mask))
                    }, keep: .max, baseLoss: base.loss, objective: settings.objective, isLast: true)
                let race = LevelRace(
                    level, division: problem.division, usesBounds: false, means: problem.means,
                    fitData: start.recovery.isNone ? nil : problem.fitData)
                let states = try await runner.run(race).outcome().best
                let values = Dictionary(states.map { ($0.mask, $0.objective) }) { first, _ in first }
                return units.map { values[state.mask.removing($0)].flatMap { $0.isFinite ? $0 : nil } }
            }
            let exact = try await objectives(state.expanded)
            func compare(_ name: String, _ scores: [Double?]) {
                let places = units.indices.filter { scores[$0] != nil && exact[$0] != nil }
                let given = places.compactMap { scores[$0] }
                let wanted = places.compactMap { exact[$0] }
                let regret = Regret(
                    edges: places.map { units[$0].edge }, scores: given, objectives: wanted)
                found.append(
                    Agreement(
                        step: step, criterion: name, compared: places.count,
                        kendall: RankCorrelation.kendall(given, wanted), regret: regret?.regret,
                        exactRank: regret?.exactRank))
            }
            compare(lossAtCut, try await objectives(Variant(state.mask, weights: state.weights)))
            guard units.allSatisfy({ $0.kind == .edge }), state.mask.units.allSatisfy({ $0.plainEdge != nil })
            else { continue }
            for criterion in step == 0 ? Criterion.allCases : chosen {
                try interruption.check()
                let options = ScoreOptions(
                    criterion: criterion, objective: settings.objective, state: state.mask)
                let scores = try ScoreReport.scores(options, units.map(\.edge), workload, interruption)
                guard scores.0 == criterion else { continue }
                compare(criterion.rawValue, scores.1.values)
            }
        }
        return found
    }
}

extension Comparison.Agreement: Encodable {}
