import ComputationGraph
import Datasets
import Testing

@testable import Search

@Suite("Estimates order the work and never change the result")
struct EstimateTests {
    /// 10 × 120 random problems, each with six kinds of estimates.
    @Test(
        "random, reversed, constant, missing, NaN and infinite ones give the same bits as brute force",
        arguments: 0..<10)
    func changeNothing(group: Int) async throws {
        for case_ in 0..<120 {
            let seed = UInt64(40_000 + group * 1000 + case_)
            let subject = try RandomProblem(seed: seed)
            let objective: Objective = case_ % 2 == 0 ? .absolute : .signed
            let (strategy, keep): (Strategy, Int) = case_ % 3 == 0 ? (.beam(width: 3), 3) : (.greedy, 1)
            let limit: Double? = case_ % 7 == 6 ? 0.05 : nil
            let naive = NaiveSearch(subject, objective: objective, maximumIncrease: limit ?? .infinity)
            let levels = naive.levels(keep: keep, steps: 2)
            let expected = levels.enumerated().map { index, level in
                level.map { Fingerprint($0, samples: index == levels.count - 1) }
            }
            var random = SplitMix64(seed: seed)
            let all = Array(0..<subject.division.sharding.samples)
            let estimates: [(name: String, of: (Expansion) -> Double?)] = [
                ("random", { _ in Double.random(in: -1...3, using: &random) }),
                (
                    "reversed",
                    { -Double(subject.oracle.losses($0.variant.mask, samples: all).losses.reduce(0, +)) + 20 }
                ),
                ("not a number", { _ in .nan }),
                ("infinite", { $0.parent % 2 == 0 ? .infinity : -.infinity }),
                ("huge", { $0.variant.mask.count % 2 == 0 ? 1e300 : .leastNonzeroMagnitude }),
                ("some", { _ in Bool.random(using: &random) ? nil : 0 }),
            ]
            for (name, estimate) in estimates {
                let runner = SimulatedWorkers(1 + case_ % 5, seed: seed) { subject.oracle.scores($0) }
                runner.estimate = estimate
                let settings = SearchSettings(
                    strategy: strategy, objective: objective, steps: 2, maximumLossIncrease: limit)
                let result = try await Search(subject.problem, settings: settings, runner: runner).run()
                #expect(
                    result.fingerprints == expected,
                    "seed \(seed), \(subject.oracle.kind), \(strategy), \(name)")
            }
        }
    }

    @Test("surrogates of nonsense give the same bits, on a bad day, too", arguments: 0..<60)
    func surrogatesChangeNothing(seed: Int) async throws {
        let subject = try RandomProblem(seed: 60_000 + UInt64(seed))
        var random = SplitMix64(seed: UInt64(seed))
        let edges = subject.problem.candidates.representatives
        func number() -> Double {
            Int.random(in: 0..<9, using: &random) == 0
                ? [.nan, .infinity, -.infinity, 1e300].randomElement(using: &random)!
                : Double.random(in: -2...2, using: &random)
        }
        let model = SurrogateModel(
            units: edges.map { Unit($0) }, gradients: edges.map { _ in number() },
            hessian: edges.map { _ in edges.map { _ in number() } })
        let settings = SearchSettings(strategy: .beam(width: 1 + seed % 3), steps: 3)
        var found: [[[Fingerprint]]] = []
        for surrogate in [nil, model] {
            for workers in [1, 4] {
                let runner = UnrulyRunner(subject.oracle, workers: workers, seed: UInt64(seed))
                found.append(
                    try await Search(
                        subject.problem, settings: settings, runner: runner, surrogate: surrogate
                    ).run().fingerprints)
            }
        }
        #expect(Set(found).count == 1)
    }

    @Test("the first to be advanced is the one that the estimate puts first")
    func breaksTies() throws {
        let subject = try RandomProblem(seed: 12, nodes: 9...9, samples: 30...30)
        var random = SplitMix64(seed: 3)
        let level = subject.level(keep: 1, objective: .absolute, using: &random)
        let wanted = level.expansions.count / 2
        let variant = level.expansions[wanted].variant
        var race = LevelRace(
            level.estimating { $0.variant == variant ? level.baseLoss : 100 * level.baseLoss },
            division: subject.division)
        let everyone = level.expansions.count
        var handed = 0
        // Everyone's first block is needed; what is handed out after that is the favourite's.
        while handed < everyone, let task = race.nextTask(sharing: everyone) {
            handed += task.expansions.count
            if task.expansions == [wanted], handed < everyone { return }
        }
        let next = race.nextTask(sharing: everyone)
        #expect(next?.expansions == [wanted])
    }
}
