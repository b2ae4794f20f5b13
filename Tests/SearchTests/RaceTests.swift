import ComputationGraph
import Datasets
import Testing
import Work

@testable import Search

@Suite("A level's race")
struct RaceTests {
    /// 18 candidates, 2,048 samples in blocks of 64, as in the measurements that the design rests on.
    @Test(
        "needs at most 1.10 times the block evaluations of one that knows the winner's total",
        arguments: [Objective.absolute, .signed])
    func nearlyOracle(objective: Objective) async throws {
        var sum = WorkCount()
        for seed in 0..<6 as Range<UInt64> {
            let subject = try RandomProblem(
                seed: 900 + seed, nodes: 12...12, samples: 2048...2048, kind: .realistic)
            let division = SampleDivision(
                sharding: try Sharding(samples: 2048, shards: 1, blockSize: 64),
                weights: [Float](repeating: 1, count: 2048))
            let problem = SearchProblem(
                graph: subject.graph, candidates: subject.problem.candidates, costs: subject.problem.costs,
                division: division)
            let oracle = LossOracle(seed: seed, kind: .realistic, weights: division.weights)
            let result = try await Search(
                problem, settings: SearchSettings(objective: objective, steps: 2),
                runner: LocalRunner(oracle)
            ).run()
            // Level 0 measures the full model and has no choice.
            sum = result.work.dropFirst().reduce(sum, +)
        }
        let ratio = Double(sum.blockEvaluations) / Double(sum.oracleBlockEvaluations)
        print(
            "block evaluations (\(objective.rawValue)): \(sum.blockEvaluations), oracle "
                + "\(sum.oracleBlockEvaluations), brute force \(sum.bruteForceBlockEvaluations), ratio \(ratio)"
        )
        #expect(ratio <= 1.10)
        #expect(sum.blockEvaluations < sum.bruteForceBlockEvaluations / 2)
    }

    @Test(
        "hands a shard's blocks only to those that may have them, and shares a block's expansions among workers"
    )
    func admitsAndShares() throws {
        let subject = try RandomProblem(seed: 12, nodes: 9...9, samples: 30...30)
        let division = SampleDivision(
            sharding: try Sharding(samples: 30, shards: 3, blockSize: 5),
            weights: [Float](repeating: 1, count: 30))
        let state = State(
            variant: Variant(.empty), unit: nil, loss: 1, objective: 0, correct: nil,
            sampleLosses: [Float](repeating: 1, count: 30), cost: Cost(parameters: 0, flops: 0))
        let level = Level(
            number: 1,
            parents: [FrontierState(state, on: BlockList(hardestFirst: state, division), division)],
            expansions: subject.problem.candidates.expansions(of: .empty, in: subject.graph).map {
                Expansion(
                    parent: 0, unit: $0, variant: Variant(.empty).removing($0),
                    cost: Cost(parameters: 0, flops: 0))
            }, keep: 1, baseLoss: 0, objective: .signed)
        let total = level.expansions.count

        var race = LevelRace(level, division: division)
        let handed = race.next(for: WorkerView(sharing: 2, holds: { $0 == 1 }))
        let first = try #require(handed)
        let firstLosses = try LossItem(payload: first.key.payload)
        #expect(first.shard == 1 && firstLosses.block.shard == 1)
        #expect(firstLosses.samples.allSatisfy { (10..<20).contains($0) })
        #expect(firstLosses.units.count == (total + 1) / 2)
        let rest = race.next(for: WorkerView(sharing: 1, holds: { $0 == 1 }))
        let second = try #require(rest)
        let secondLosses = try LossItem(payload: second.key.payload)
        #expect(secondLosses.block == firstLosses.block && second.locality == first.locality)
        #expect(secondLosses.units.count == total - firstLosses.units.count)
        #expect(Set(firstLosses.units).isDisjoint(with: secondLosses.units))
        #expect(Set(first.pieces).isDisjoint(with: second.pieces))
        var unknown = LevelRace(level, division: division)
        let nothing = unknown.next(for: WorkerView(holds: { $0 > 2 }))
        #expect(nothing == nil)
    }

    @Test("hands out nothing that is in flight, and hands out again what was given back")
    func givesOutOnce() throws {
        let subject = try RandomProblem(seed: 3)
        var random = SplitMix64(seed: 3)
        let level = subject.level(keep: 1, objective: .absolute, using: &random)
        var race = LevelRace(level, division: subject.division, usesBounds: false)
        var tasks: [RaceTask] = []
        var pairs: Set<[Int]> = []
        while let task = race.nextTask(sharing: 2) {
            tasks.append(task)
            for index in task.expansions {
                let parent = level.expansions[index].parent
                #expect(task.parent == parent)
                #expect(pairs.insert([index, task.place]).inserted)
            }
        }
        #expect(pairs.count == race.workSoFar.bruteForceBlockEvaluations)
        let lost = try #require(tasks.randomElement(using: &random))
        race.giveBack(lost)
        var again: Set<Int> = []
        while let task = race.nextTask() {
            #expect(task.parent == lost.parent && task.place == lost.place)
            again.formUnion(task.expansions)
        }
        #expect(again == Set(lost.expansions))
    }

    @Test(
        "counts an evaluation once, however often its result arrives, and also when it came too late to matter"
    )
    func countsWork() throws {
        let subject = try RandomProblem(seed: 44, kind: .realistic)
        var random = SplitMix64(seed: 44)
        let level = subject.level(keep: 1, objective: .signed, using: &random)
        var race = LevelRace(level, division: subject.division, usesBounds: false)
        // Everything is handed out before anything returns: then everything was evaluated.
        var tasks: [RaceTask] = []
        while let task = race.nextTask() { tasks.append(task) }
        for task in tasks + tasks { race.fold(task, by: subject.oracle) }
        let work = race.outcome().work
        #expect(work.blockEvaluations == work.bruteForceBlockEvaluations)
        #expect(work.oracleBlockEvaluations < work.blockEvaluations)
    }

    @Test("reports how many are still running, and the best value so far")
    func reportsProgress() throws {
        let subject = try RandomProblem(seed: 8, kind: .realistic)
        var random = SplitMix64(seed: 8)
        var race = LevelRace(
            subject.level(keep: 1, objective: .signed, using: &random), division: subject.division)
        #expect(race.progress.running == race.progress.total && race.bestSoFar == nil)
        var last = race.progress.running
        while let task = race.nextTask() {
            race.fold(task, by: subject.oracle)
            #expect(race.progress.running <= last)
            last = race.progress.running
        }
        #expect(race.isComplete && last == 0)
        #expect(race.bestSoFar == race.outcome().best.first?.objective)
    }
}
