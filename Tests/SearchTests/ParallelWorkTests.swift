import ComputationGraph
import Datasets
import Foundation
import Testing

@testable import Search

@Suite("A race run by several workers")
struct ParallelWorkTests {
    /// 18 candidates, 2,048 samples in blocks of 64, as in the measurements that the design rests on; the third kind of
    /// problem has as few blocks as workers.
    @Test(
        "takes little more than one that knows the winner's total: 1.10 times with one worker, 1.25 with eight",
        arguments: [(1, 1.10), (2, 1.15), (4, 1.20), (8, 1.25)])
    func wastesLittle(workers: Int, most: Double) async throws {
        for (samples, objective) in [(2048, Objective.absolute), (2048, .signed), (512, .absolute)] {
            for keep in [1, 4] {
                var sum = WorkCount()
                var (time, passes) = (0.0, 0)
                for seed in 0..<6 as Range<UInt64> {
                    let subject = try RandomProblem.large(seed: seed, samples: samples)
                    let runner = SimulatedWorkers(workers, seed: seed) { subject.oracle.scores($0) }
                    let result = try await Search(
                        subject.problem,
                        settings: SearchSettings(
                            strategy: keep == 1 ? .greedy : .beam(width: keep), objective: objective, steps: 3
                        ),
                        runner: runner
                    ).run()
                    // Level 0 measures the full model and has no choice.
                    sum = result.work.dropFirst().reduce(sum, +)
                    time += runner.time
                    passes += runner.statePasses
                }
                let ratio = Double(sum.blockEvaluations) / Double(sum.oracleBlockEvaluations)
                print(
                    "\(workers) workers, \(samples) samples, \(objective.rawValue), keep \(keep): "
                        + "\(sum.blockEvaluations) of \(sum.bruteForceBlockEvaluations) block evaluations, "
                        + String(format: "%.3f times the oracle lower bound, ", ratio)
                        + String(format: "%d state passes, time %.0f passes", passes, time))
                #expect(ratio <= most)
            }
        }
    }

    @Test(
        "goes back to where a state's pass was kept, and the winner's passes are there for the next level",
        arguments: [1, 2, 4])
    func makesFewPasses(workers: Int) async throws {
        var passes = [true: 0, false: 0]
        var evaluations = [true: 0, false: 0]
        var blocks = 0
        for seed in 0..<6 as Range<UInt64> {
            let subject = try RandomProblem.large(seed: seed, samples: 2048)
            for givesBlocksBack in [true, false] {
                let runner = SimulatedWorkers(workers, seed: seed) { subject.oracle.scores($0) }
                runner.givesBlocksBack = givesBlocksBack
                let result = try await Search(
                    subject.problem, settings: SearchSettings(steps: 3), runner: runner
                ).run()
                passes[givesBlocksBack, default: 0] += runner.statePasses
                evaluations[givesBlocksBack, default: 0] += result.totalWork.blockEvaluations
            }
            // The full model, in the data's order and then in that of hardness.
            blocks += 2 * subject.division.sharding.totalBlockCount
        }
        let (kept, lost) = (passes[true] ?? 0, passes[false] ?? 0)
        print("\(workers) workers: \(kept) state passes; \(lost) wherever; \(blocks) at least")
        // Four states are visited. One worker makes the passes of the first, and hardly any more.
        if workers == 1 {
            #expect(kept < blocks * 5 / 4)
        } else {
            #expect(kept * 4 < lost * 3)
            #expect((evaluations[true] ?? 0) * 20 <= (evaluations[false] ?? 0) * 21)
        }
    }

    @Test("adversarial estimates cost work, and not without limit")
    func survivesBadAdvice() async throws {
        var honest = WorkCount()
        var misled = WorkCount()
        for seed in 0..<6 as Range<UInt64> {
            let subject = try RandomProblem.large(seed: seed, samples: 2048)
            let all = Array(0..<2048)
            for isMisled in [false, true] {
                let runner = SimulatedWorkers(8, seed: seed) { subject.oracle.scores($0) }
                if isMisled {
                    // The better an expansion is, the worse it is said to be.
                    runner.estimate = { expansion in
                        1
                            / Double(
                                subject.oracle.losses(expansion.variant.mask, samples: all).losses.reduce(
                                    0, +))
                    }
                }
                let result = try await Search(
                    subject.problem, settings: SearchSettings(steps: 2), runner: runner
                ).run()
                let work = result.work.dropFirst().reduce(WorkCount(), +)
                if isMisled { misled = misled + work } else { honest = honest + work }
            }
        }
        print("block evaluations \(honest.blockEvaluations), misled \(misled.blockEvaluations)")
        #expect(misled.blockEvaluations <= 2 * honest.blockEvaluations)
        #expect(misled.blockEvaluations < misled.bruteForceBlockEvaluations)
    }

    @Test("what its unneeded tasks are is known once their expansions are dropped")
    func knowsWhatIsNeeded() throws {
        let subject = try RandomProblem(seed: 44, kind: .realistic)
        var random = SplitMix64(seed: 44)
        let level = subject.level(keep: 1, objective: .signed, using: &random)
        var handing = LevelRace(level, division: subject.division, usesBounds: false)
        var tasks: [RaceTask] = []
        while let task = handing.nextTask() { tasks.append(task) }
        var race = LevelRace(level, division: subject.division)
        #expect(tasks.allSatisfy { race.needs($0) })
        var wasNeedless = 0
        while !race.isComplete, let task = race.nextTask() {
            race.fold(task, by: subject.oracle)
            #expect(!race.needs(task))
            wasNeedless = max(wasNeedless, tasks.count { !race.needs($0) })
        }
        #expect(race.dropCount > 0 && wasNeedless == tasks.count)
    }
}

extension RandomProblem {
    /// A problem of the size that the design was measured on, in blocks of 64.
    static func large(seed: UInt64, samples: Int) throws -> RandomProblem {
        let subject = try RandomProblem(
            seed: 900 + seed, nodes: 12...12, samples: samples...samples, kind: .realistic)
        let division = SampleDivision(
            sharding: try Sharding(samples: samples, shards: 1, blockSize: 64),
            weights: [Float](repeating: 1, count: samples))
        return RandomProblem(
            problem: SearchProblem(
                graph: subject.graph, candidates: subject.problem.candidates, costs: subject.problem.costs,
                division: division),
            oracle: LossOracle(seed: seed, kind: .realistic, weights: division.weights))
    }
}
