import ComputationGraph
import Datasets
import Foundation
import Search

/// Runs races as a number of equal workers would, in simulated time.
///
/// A task takes the time of one pass for the state, unless the worker has kept one, and half a pass for each expansion,
/// more or less. Whoever is done asks for the next task once the result is folded, as the coordinator has it.
final class SimulatedWorkers: LevelEvaluator {
    private let workers: Int
    private let scores: (LevelTask) -> [SampleScores]
    private var random: SplitMix64
    /// The simulated time that all races took, in passes.
    private(set) var time = 0.0
    /// How many passes were made for a state's own sake.
    private(set) var statePasses = 0
    /// Who had a block last.
    private var homes: [BlockID: Int] = [:]
    /// Whether workers are given the blocks that they had before.
    var givesBlocksBack = true
    /// What each worker has kept.
    private var kept: [Set<Passed>]

    private struct Passed: Hashable {
        let state: Mask
        let samples: [Int]
    }

    /// Replaces the estimates of a level's expansions.
    var estimate: ((Expansion) -> Double?)?

    init(_ workers: Int, seed: UInt64 = 0, scores: @escaping (LevelTask) -> [SampleScores]) {
        self.workers = workers
        self.scores = scores
        random = SplitMix64(seed: seed)
        kept = [Set<Passed>](repeating: [], count: workers)
    }

    func evaluate(_ level: Level, division: SampleDivision, usesBounds: Bool) async throws -> LevelOutcome {
        run(
            LevelRace(
                estimate.map { level.estimating($0) } ?? level, division: division, usesBounds: usesBounds))
    }

    func run(_ start: LevelRace) -> LevelOutcome {
        var race = start
        var now = 0.0
        var inFlight: [(end: Double, worker: Int, task: LevelTask)] = []
        var idle = Array(0..<workers)
        while !race.isComplete {
            for worker in idle {
                let task = race.nextTask(
                    sharing: workers,
                    suits: { [homes, givesBlocksBack] in
                        !givesBlocksBack || (homes[$0] ?? worker) == worker
                    })
                guard let task else { continue }
                homes[task.block] = worker
                let passes = passes(of: task, by: worker) * Double.random(in: 0.8..<1.3, using: &random)
                inFlight.append((now + passes, worker, task))
                idle.removeAll { $0 == worker }
            }
            guard let first = inFlight.indices.min(by: { inFlight[$0].end < inFlight[$1].end }) else { break }
            let (end, worker, task) = inFlight.remove(at: first)
            now = end
            idle.append(worker)
            race.fold(task, scores(task))
        }
        time += now
        return race.outcome()
    }

    private func passes(of task: LevelTask, by worker: Int) -> Double {
        let isNew = kept[worker].insert(Passed(state: task.state, samples: task.samples)).inserted
        if isNew { statePasses += 1 }
        for place in task.contenders {
            let mask = task.edges[place].map { task.state.removing($0) } ?? task.state
            kept[worker].insert(Passed(state: mask, samples: task.samples))
        }
        return (isNew ? 1 : 0) + 0.5 * Double(task.edges.count)
    }
}

extension Level {
    /// The level with other estimates.
    func estimating(_ estimate: (Expansion) -> Double?) -> Level {
        Level(
            number: number, parents: parents,
            expansions: expansions.map {
                Expansion(
                    parent: $0.parent, edge: $0.edge, mask: $0.mask, cost: $0.cost, price: $0.price,
                    estimate: estimate($0))
            }, keep: keep, baseLoss: baseLoss, objective: objective, maximumIncrease: maximumIncrease,
            acceptsNonFinite: acceptsNonFinite)
    }
}
