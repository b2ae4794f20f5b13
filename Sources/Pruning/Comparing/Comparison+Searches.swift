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
        let result: SearchResult
        let newBlockEvaluations: Int
        let seconds: Double
    }

    /// Searches with one strategy after the other, on the same workers and with the same results.
    static func search(
        _ strategies: [Strategy], _ problem: inout SearchProblem, _ workload: inout Workload,
        _ settings: SearchSettings, _ backend: EvaluationBackend, _ board: StatusBoard
    ) async throws -> [Run] {
        let shared = SharedResults()
        let clock = ContinuousClock()
        let (runs, _) = try await backend.evaluate(workload, journal: shared) { runner in
            problem.means = try await workload.measureMeans(for: problem.candidates.units, on: runner)
            problem.costs = workload.costs
            let isAlive = try workload.vetting()
            var runs: [Run] = []
            for (number, strategy) in strategies.enumerated() {
                board.note("== \(strategy) (\(number + 1) of \(strategies.count))")
                var settings = settings
                settings.strategy = strategy
                board.record(
                    .began(
                        RunSetup(
                            settings: settings, loss: workload.loss.name, division: workload.division,
                            countedLabels: workload.countedLabels)))
                let before = shared.evaluations
                let start = clock.now
                let result = try await Search(
                    problem, settings: settings, runner: runner, shared: shared, isAlive: isAlive
                ).run {
                    level, outcome in
                    board.record(
                        .levelFinished(level: level, states: outcome.best, work: outcome.work))
                }
                runs.append(
                    Run(
                        strategy: strategy, result: result, newBlockEvaluations: shared.evaluations - before,
                        seconds: (clock.now - start) / .seconds(1)))
            }
            return runs
        }
        return runs
    }

    /// The searches that the compared strategies stand for.
    static func strategies(
        _ options: CompareOptions, _ workload: Workload, _ candidates: Candidates,
        _ interruption: Interruption, observer: any PruneObserver
    ) throws -> ([Strategy], [String]) {
        var strategies: [Strategy] = []
        var warnings: [String] = []
        let edges = candidates.representatives
        for compared in options.strategies {
            switch compared {
            case .search(let strategy): strategies.append(strategy)
            case .randomSeeds: strategies += (0..<options.seeds).map { .random(seed: UInt64($0)) }
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
                    .ranked(
                        name: criterion.rawValue,
                        units: order.map { Unit($0.0, replacement: options.units.edgeReplacement) }))
            }
        }
        return (strategies, warnings)
    }
}
