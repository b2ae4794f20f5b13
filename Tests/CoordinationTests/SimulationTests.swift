import ComputationGraph
import Datasets
import Foundation
import Search
import Testing

@testable import Coordination

/// Thousands of small searches in rough worlds, each compared with the same search done task by task in process.
@Suite struct SimulationTests {
    /// Three levels, as a search does them: the full model, single removals, and pairs.
    private func outcomes(
        _ problem: SmallProblem, evaluate: (Level) async throws -> LevelOutcome
    ) async throws -> [Outcome] {
        var outcomes: [Outcome] = []
        let base = try await evaluate(problem.base)
        outcomes.append(Outcome(base))
        var states = base.best
        for number in 1...2 {
            let level = problem.level(number, after: states, baseLoss: base.best[0].loss)
            let outcome = try await evaluate(level)
            outcomes.append(Outcome(outcome))
            states = Array(outcome.best.prefix(3))
        }
        return outcomes
    }

    private func compare(
        seeds: Range<UInt64>, keep: Int, usesBounds: Bool, world: (UInt64) -> World
    ) async throws {
        for seed in seeds {
            let problem = try SmallProblem(
                samples: 20 + Int(seed % 9), shards: 1 + Int(seed % 3), blockSize: 3 + Int(seed % 4),
                edges: 4 + Int(seed % 3), keep: keep)
            let local = LocalEvaluator { SyntheticLoss.scores($0, seed: seed) }
            let expected = try await outcomes(problem) {
                try await local.evaluate($0, division: problem.division, usesBounds: usesBounds)
            }
            var simulator = Simulator(world(seed), problem: problem, seed: seed)
            let found = try await outcomes(problem) { try simulator.evaluate($0, usesBounds: usesBounds) }
            try #require(found == expected, "seed \(seed), keep \(keep), bounds \(usesBounds)")
        }
    }

    /// Seeds per combination; `ESPALIER_SIMULATION_SEEDS` asks for more than a quick check needs.
    private var seedCount: UInt64 {
        ProcessInfo.processInfo.environment["ESPALIER_SIMULATION_SEEDS"].flatMap(UInt64.init) ?? 60
    }

    /// A world whose faults depend on the seed.
    private func rough(_ seed: UInt64) -> World {
        var random = SplitMix64(seed: seed ^ 0x5EED)
        func chance(_ values: [Double]) -> Double { values.randomElement(using: &random) ?? 0 }
        var world = World()
        world.workers = Int.random(in: 1...5, using: &random)
        world.stragglers = chance([0, 0, 0.05, 0.2])
        world.crashes = chance([0, 0, 0.03, 0.15])
        world.breaks = chance([0, 0, 0.02, 0.1])
        world.breaksAreSeen = Bool.random(using: &random)
        world.duplicates = chance([0, 0.1, 0.5])
        world.failures = chance([0, 0, 0.1])
        world.pauses = chance([0, 0, 0.05])
        world.partialShards = Int.random(in: 0..<4, using: &random) == 0
        return world
    }

    @Test(arguments: [1, 3, Int.max], [true, false])
    func outcomesEqualTheLocalOnesWhateverHappensToWorkers(keep: Int, usesBounds: Bool) async throws {
        try await compare(seeds: 0..<seedCount, keep: keep, usesBounds: usesBounds, world: rough)
    }

    @Test(arguments: [1, 2, 7])
    func outcomesDoNotDependOnTheNumberOfWorkers(workers: Int) async throws {
        try await compare(seeds: 1000..<1060, keep: 2, usesBounds: true) { _ in World(workers: workers) }
    }

    @Test func aRunGoesOnFromItsJournalWithoutComputingAnythingAgain() async throws {
        for seed in UInt64(0)..<60 {
            let problem = try SmallProblem(samples: 24, shards: 2, blockSize: 4, edges: 5, keep: 2)
            var first = Simulator(rough(seed), problem: problem, seed: seed)
            let finished = try first.evaluate(problem.base, usesBounds: false)
            let count = first.journal.count
            #expect(count >= 6, "the full model has six blocks")
            var second = Simulator(rough(seed + 1), problem: problem, seed: seed)
            let again = try second.evaluate(problem.base, usesBounds: false, recorded: first.journal)
            #expect(Outcome(again) == Outcome(finished))
            #expect(second.journal.isEmpty)
            // From half of the journal only the rest is computed.
            var third = Simulator(World(), problem: problem, seed: seed)
            let half = Array(first.journal.prefix(3))
            let resumed = try third.evaluate(problem.base, usesBounds: false, recorded: half)
            #expect(Outcome(resumed) == Outcome(finished))
            let computed = Set(third.journal.map(\.block))
            #expect(computed.isDisjoint(with: half.map(\.block)))
        }
    }

    @Test func oneSeedIsOneExecution() throws {
        let problem = try SmallProblem(samples: 24, shards: 2, blockSize: 4, edges: 5, keep: 2)
        func run() throws -> (Instant, [RecordedResult], Int) {
            var simulator = Simulator(rough(11), problem: problem, seed: 11)
            let base = try simulator.evaluate(problem.base, usesBounds: true)
            _ = try simulator.evaluate(
                problem.level(1, after: base.best, baseLoss: base.best[0].loss), usesBounds: true)
            return (simulator.now, simulator.journal, simulator.acknowledged)
        }
        let (one, other) = (try run(), try run())
        #expect(one.0 == other.0)
        #expect(one.1 == other.1)
        #expect(one.2 == other.2)
    }

    @Test func aStragglerDoesNotHoldUpTheEndOfALevel() throws {
        let problem = try SmallProblem(samples: 24, shards: 1, blockSize: 4, edges: 4, keep: 1)
        var world = World(workers: 4)
        world.computing = 50...50
        world.stragglers = 1
        world.faultLimit = 1
        var simulator = Simulator(world, problem: problem, seed: 3)
        let finished = try simulator.evaluate(problem.base, usesBounds: false)
        #expect(Outcome(finished).best.count == 1)
        // The straggler would take 5 s; a copy of its task is computed in 50 ms.
        #expect(simulator.now < Instant.zero + .seconds(3))
    }

    @Test func aTaskThatKillsEveryWorkerStopsTheRun() throws {
        let problem = try SmallProblem(samples: 24, shards: 1, blockSize: 4, edges: 4, keep: 1)
        var world = World(workers: 3)
        world.crashes = 1
        world.faultLimit = .max
        var settings = CoordinatorSettings(run: problem.run(), softwareVersion: "1")
        settings.firstLease = .seconds(20)
        var simulator = Simulator(world, problem: problem, seed: 3, settings: settings)
        do {
            _ = try simulator.evaluate(problem.base, usesBounds: false)
            Issue.record("the level finished")
        } catch Simulator.Failure.failed(.deadlyTask(let state, let block, let edges, let workers, _)) {
            #expect(state.isEmpty)
            #expect(block.shard == 0)
            #expect(edges == [nil])
            #expect(workers == 3)
        }
    }
}
