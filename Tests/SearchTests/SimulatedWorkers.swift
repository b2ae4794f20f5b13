import ComputationGraph
import Datasets
import Foundation
import Work

@testable import Search

/// Runs races as a number of equal workers would, in simulated time.
///
/// An item takes the time of one pass for the state, unless the worker has kept one, and half a pass for each expansion,
/// more or less. Whoever is done asks for the next item once the result is folded, as the coordinator has it.
final class SimulatedWorkers: WorkRunner {
    private let workers: Int
    private let scores: (LossItem) -> [SampleScores]
    private var random: SplitMix64
    /// The simulated time that all races took, in passes.
    private(set) var time = 0.0
    /// How many passes were made for a state's own sake.
    private(set) var statePasses = 0
    /// Who had a block last.
    private var homes: [UInt64: Int] = [:]
    /// Whether workers are given the blocks that they had before.
    var givesBlocksBack = true
    /// What each worker has kept.
    private var kept: [Set<Passed>]

    private struct Passed: Hashable {
        let state: Variant
        let samples: [Int]
    }

    /// Replaces the estimates of a level's expansions.
    var estimate: ((Expansion) -> Double?)?

    init(_ workers: Int, seed: UInt64 = 0, scores: @escaping (LossItem) -> [SampleScores]) {
        self.workers = workers
        self.scores = scores
        random = SplitMix64(seed: seed)
        kept = [Set<Passed>](repeating: [], count: workers)
    }

    func provide(_ content: [UInt8]) async throws -> ContentID {
        throw WorkMismatch("needs a content, and losses need none")
    }

    func run<Source: WorkSource>(_ start: Source) async throws -> Source {
        var source = start
        if let estimate, let race = start as? LevelRace {
            let guided = LevelRace(
                race.level.estimating(estimate), division: race.division, usesBounds: race.usesBounds)
            source = guided as? Source ?? start
        }
        var now = 0.0
        var inFlight: [(end: Double, worker: Int, item: WorkItem)] = []
        var idle = Array(0..<workers)
        while !source.isComplete {
            for worker in idle {
                let view = WorkerView(
                    sharing: workers,
                    prefers: { [homes, givesBlocksBack] in
                        !givesBlocksBack || (homes[$0] ?? worker) == worker
                    })
                guard let item = source.next(for: view) else { continue }
                homes[item.locality] = worker
                let passes = try passes(of: item, by: worker) * Double.random(in: 0.8..<1.3, using: &random)
                inFlight.append((now + passes, worker, item))
                idle.removeAll { $0 == worker }
            }
            guard let first = inFlight.indices.min(by: { inFlight[$0].end < inFlight[$1].end }) else { break }
            let (end, worker, item) = inFlight.remove(at: first)
            now = end
            idle.append(worker)
            let result = LossItem.result(scores(try LossItem(payload: item.key.payload)))
            try source.check(result, of: item)
            _ = source.fold(item, result)
        }
        time += now
        return source
    }

    private func passes(of work: WorkItem, by worker: Int) throws -> Double {
        let item = try LossItem(payload: work.key.payload)
        let isNew = kept[worker].insert(Passed(state: item.state, samples: item.samples)).inserted
        if isNew { statePasses += 1 }
        for place in item.reuseHints(work.hints) {
            kept[worker].insert(Passed(state: item.variants[place], samples: item.samples))
        }
        return (isNew ? 1 : 0) + 0.5 * Double(item.units.count)
    }
}

extension Level {
    /// The level with other estimates.
    func estimating(_ estimate: (Expansion) -> Double?) -> Level {
        Level(
            number: number, parents: parents,
            expansions: expansions.map {
                Expansion(
                    parent: $0.parent, unit: $0.unit, variant: $0.variant, cost: $0.cost, price: $0.price,
                    estimate: estimate($0))
            }, keep: keep, baseLoss: baseLoss, objective: objective, maximumIncrease: maximumIncrease,
            acceptsNonFinite: acceptsNonFinite)
    }
}
