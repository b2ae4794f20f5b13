internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Logging
internal import Report
internal import Search
internal import Work

/// The searches that are compared.
extension Comparison {
    /// What one strategy's search found, and took.
    struct Run {
        let strategy: Strategy
        /// What adapts, where the strategy says.
        let suffix: String
        let result: SearchResult
        let newBlockEvaluations: Int
        let seconds: Double
    }

    /// Searches with one strategy after the other, on the same workers and with the same results.
    static func search(
        _ strategies: [ComparedSearch], _ problem: inout SearchProblem, _ workload: inout Workload,
        _ settings: SearchSettings, _ backend: EvaluationBackend, _ journal: ComparisonJournal,
        _ board: StatusBoard,
        criteria: [Criterion], _ interruption: Interruption
    ) async throws -> (runs: [Run], agreements: [Agreement]) {
        let original = settings
        let shared = journal.shared
        let weights = SearchedWeights()
        workload.storedWeights = { try weights.bytes(of: $0) }
        let clock = ContinuousClock()
        let (results, _) = try await backend.evaluate(workload, journal: journal) { runner in
            problem.means = try await workload.measureMeans(for: problem.candidates.units, on: runner)
            problem.costs = workload.costs
            if let fit = workload.fit { problem.fitData = try await runner.provide(fit.bytes) }
            try await problem.orderSlices(on: runner)
            let isAlive = try workload.vetting()
            var runs: [Run] = []
            for (number, compared) in strategies.enumerated() {
                board.note("== \(compared) (\(number + 1) of \(strategies.count))")
                var settings = settings
                switch compared {
                case .plain(let strategy, let recovery, _):
                    settings.strategy = strategy
                    if let recovery { settings.recovery = recovery.isNone ? nil : recovery }
                case .greedyAtCut:
                    settings.strategy = .greedy
                    settings.recovery = nil
                    let path = try await Search(
                        problem, settings: settings, runner: runner, shared: shared, isAlive: isAlive
                    ).run().path
                    settings.strategy = .ranked(
                        name: ComparedStrategy.greedyAtCutName, units: path.compactMap(\.unit))
                    settings.recovery = original.recovery
                    settings.steps = path.count
                }
                let strategy = settings.strategy
                board.record(
                    .began(
                        RunSetup(
                            settings: settings, loss: workload.loss.name, division: workload.division,
                            countedLabels: workload.countedLabels, fitData: workload.fit?.origin,
                            names: workload.names)))
                let before = shared.evaluations
                let start = clock.now
                let result = try await Search(
                    problem, settings: settings, runner: runner, shared: shared, isAlive: isAlive,
                    madeWeights: { name, bytes, _ in weights.keep(bytes, as: name) }
                ).run {
                    level, outcome in
                    board.record(
                        .levelFinished(level: level, states: outcome.best, work: outcome.work))
                }
                runs.append(
                    Run(
                        strategy: strategy, suffix: compared.suffix, result: result,
                        newBlockEvaluations: shared.evaluations - before,
                        seconds: (clock.now - start) / .seconds(1)))
            }
            guard settings.recovery != nil, let first = runs.first else { return (runs, [Agreement]()) }
            board.note("== criteria against the exact loss after the recovery")
            return (
                runs,
                try await agreements(
                    along: first.result.path, from: first.result.base, problem, workload, criteria: criteria,
                    settings: settings, runner, interruption)
            )
        }
        return results
    }

    /// What is searched with: a strategy, or one that another search gives.
    enum ComparedSearch: CustomStringConvertible {
        /// A strategy, and the recovery and its name where it has one of its own.
        case plain(Strategy, Recovery?, suffix: String)
        case greedyAtCut

        var description: String {
            switch self {
            case .plain(let strategy, _, let suffix): strategy.description + suffix
            case .greedyAtCut: ComparedStrategy.greedyAtCutName
            }
        }

        /// What adapts, where the strategy says.
        var suffix: String { if case .plain(_, _, let suffix) = self { suffix } else { "" } }
    }

    /// The searches that the compared strategies stand for.
    static func strategies(
        _ options: CompareOptions, _ workload: Workload, _ candidates: Candidates,
        _ interruption: Interruption, observer: any PruneObserver
    ) throws -> ([ComparedSearch], [String]) {
        var strategies: [ComparedSearch] = []
        var warnings: [String] = []
        let edges = candidates.representatives
        for compared in options.strategies {
            let recovery = compared.rungs.map(options.recovery)
            func plain(_ strategy: Strategy) -> ComparedSearch {
                .plain(strategy, recovery, suffix: compared.suffix)
            }
            switch compared.strategy {
            case .search(let strategy): strategies.append(plain(strategy))
            case .greedyAtCut: strategies.append(.greedyAtCut)
            case .randomSeeds: strategies += (0..<options.seeds).map { plain(.random(seed: UInt64($0))) }
            case .oneShot(let criterion):
                let ranking = try ScoreReport.scores(
                    ScoreOptions(criterion: criterion, objective: options.search.objective), edges, workload,
                    interruption, observer: observer)
                warnings += ranking.2
                // Edges without a score come last; equal scores keep the canonical order.
                let order = zip(edges, ranking.1.values).sorted { left, right in
                    let (first, second) = (left.1 ?? .infinity, right.1 ?? .infinity)
                    return first != second ? first < second : left.0 < right.0
                }
                strategies.append(
                    plain(
                        .ranked(
                            name: criterion.rawValue,
                            units: order.map { Unit($0.0, replacement: options.units.edgeReplacement) })))
            }
        }
        return (strategies, warnings)
    }
}
