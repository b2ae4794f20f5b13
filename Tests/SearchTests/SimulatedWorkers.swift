import ComputationGraph
import Datasets
import Foundation
import Search

/// Runs races as a number of equal workers would, in simulated time.
///
/// A task takes the time of one pass for the state and half a pass for each expansion, more or less. Whoever is done
/// asks for the next task once the result is folded, as the coordinator has it.
final class SimulatedWorkers: LevelEvaluator {
    private let workers: Int
    private let scores: (LevelTask) -> [SampleScores]
    private var random: SplitMix64
    /// The simulated time that all races took, in passes.
    private(set) var time = 0.0
    /// Replaces the estimates of a level's expansions.
    var estimate: ((Expansion) -> Double?)?

    init(_ workers: Int, seed: UInt64 = 0, scores: @escaping (LevelTask) -> [SampleScores]) {
        self.workers = workers
        self.scores = scores
        random = SplitMix64(seed: seed)
    }

    func evaluate(_ level: Level, division: SampleDivision, usesBounds: Bool) async throws -> LevelOutcome {
        run(
            LevelRace(
                estimate.map { level.estimating($0) } ?? level, division: division, usesBounds: usesBounds))
    }

    func run(_ start: LevelRace) -> LevelOutcome {
        var race = start
        var now = 0.0
        var inFlight: [(end: Double, task: LevelTask)] = []
        while !race.isComplete {
            while inFlight.count < workers, let task = race.nextTask(sharing: workers) {
                let passes = 0.5 + 0.5 * Double(task.edges.count)
                inFlight.append((now + passes * Double.random(in: 0.8..<1.3, using: &random), task))
            }
            guard let first = inFlight.indices.min(by: { inFlight[$0].end < inFlight[$1].end }) else { break }
            let (end, task) = inFlight.remove(at: first)
            now = end
            race.fold(task, scores(task))
        }
        time += now
        return race.outcome()
    }
}

extension Level {
    /// The level with other estimates.
    func estimating(_ estimate: (Expansion) -> Double?) -> Level {
        Level(
            number: number, parents: parents,
            expansions: expansions.map {
                Expansion(
                    parent: $0.parent, edge: $0.edge, mask: $0.mask, cost: $0.cost, estimate: estimate($0))
            }, keep: keep, baseLoss: baseLoss, objective: objective, maximumIncrease: maximumIncrease)
    }
}
