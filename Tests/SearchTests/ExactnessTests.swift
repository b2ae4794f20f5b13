import ComputationGraph
import Datasets
import Search
import Testing
import Work

@Suite("The bounded race is exact")
struct ExactnessTests {
    /// 10 × 100 random problems.
    @Test(
        "on random graphs, losses and divisions: the same bits as without bounds, in any order, and as brute force",
        arguments: 0..<10)
    func agreesWithBruteForce(group: Int) async throws {
        var (saved, kept) = (0, 0)
        for case_ in 0..<100 {
            let seed = UInt64(group * 1000 + case_)
            let subject = try RandomProblem(seed: seed, hasNeurons: case_ % 4 == 3)
            let objective: Objective = case_ % 2 == 0 ? .absolute : .signed
            let (strategy, keep, steps): (Strategy, Int, Int) =
                switch case_ % 5 {
                case 0, 1: (.greedy, 1, 3)
                case 2: (.beam(width: 2), 2, 3)
                case 3: (.beam(width: 5), 5, 2)
                default: (.exhaustive, .max, 2)
                }
            let limit: Double? = case_ % 7 == 6 ? 0.05 : nil
            // A quarter of the labels, one for each sample; the oracle has some for odd seeds.
            let drop: Double? = case_ % 3 == 1 && subject.oracle.seed % 2 == 1 ? 0.25 : nil
            let mayLose = drop.map { _ in subject.division.sharding.samples / 4 }
            let per: Budget.Quantity? = [nil, .flops, nil, .parameters][case_ / 2 % 4]
            let naive = NaiveSearch(
                subject, objective: objective, maximumIncrease: limit ?? .infinity, mayLose: mayLose, per: per
            )
            let free = NaiveSearch(
                subject, objective: objective, maximumIncrease: limit ?? .infinity, per: per)
            let levels = naive.levels(keep: keep, steps: steps)
            if mayLose != nil,
                free.levels(keep: keep, steps: steps).map({ $0.map(\.mask) })
                    != levels.map({ $0.map(\.mask) })
            {
                kept += 1
            }
            let expected = levels.enumerated().map { index, level in
                level.map { Fingerprint($0, samples: index == levels.count - 1) }
            }

            let runners: [(name: String, runner: any WorkRunner, bounds: Bool)] = [
                ("bounds", LocalRunner(subject.oracle), true),
                ("no bounds", LocalRunner(subject.oracle), false),
                (
                    "unruly", UnrulyRunner(subject.oracle, workers: 1 + case_ % 5, seed: seed),
                    case_ % 11 != 0
                ),
            ]
            for (name, runner, bounds) in runners {
                let settings = SearchSettings(
                    strategy: strategy, objective: objective, steps: steps, maximumLossIncrease: limit,
                    maximumAccuracyDrop: drop, usesBounds: bounds, per: per)
                let result = try await Search(subject.problem, settings: settings, runner: runner).run()
                #expect(result.base.loss.bitPattern == naive.base.loss.bitPattern, "seed \(seed), \(name)")
                #expect(
                    result.fingerprints == expected,
                    "seed \(seed), \(subject.oracle.kind), \(strategy), \(name)")
                let work = result.totalWork
                #expect(work.blockEvaluations <= work.bruteForceBlockEvaluations)
                #expect(work.oracleBlockEvaluations <= work.blockEvaluations)
                if !bounds {
                    #expect(work.blockEvaluations == work.bruteForceBlockEvaluations, "seed \(seed), \(name)")
                }
                if name == "bounds" { saved += work.bruteForceBlockEvaluations - work.blockEvaluations }
            }
        }
        #expect(saved > 0, "nothing was ever dropped: the bound was not tried")
        #expect(kept > 0, "the accuracy never mattered")
    }

    @Test(
        "what was dropped could not have been kept, and its bound was no more than its true value",
        arguments: 0..<60)
    func dropsOnlyTheHopeless(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed) &+ 77_000)
        let subject = try RandomProblem(seed: random.next())
        for objective in Objective.allCases {
            let level = subject.level(keep: 1 + seed % 3, objective: objective, using: &random)
            let full = try UnrulyRunner(subject.oracle, workers: 1, seed: 0)
                .run(
                    LevelRace(level, division: subject.division, usesBounds: false),
                    shards: subject.division.sharding.shards)
            var everything = level
            everything = Level(
                number: 1, parents: level.parents, expansions: level.expansions, keep: .max,
                baseLoss: level.baseLoss,
                objective: objective)
            let all = try UnrulyRunner(subject.oracle, workers: 1, seed: 0)
                .run(
                    LevelRace(everything, division: subject.division, usesBounds: false),
                    shards: subject.division.sharding.shards)
            let values = Dictionary(uniqueKeysWithValues: all.best.map { ($0.mask, $0.objective) })
            let bounded = try UnrulyRunner(subject.oracle, workers: 3, seed: UInt64(seed))
                .run(LevelRace(level, division: subject.division), shards: subject.division.sharding.shards)
            #expect(bounded.fingerprints == full.fingerprints)
            let worst = full.best.last?.objective ?? .infinity
            for (mask, bound) in bounded.dropped {
                let value = try #require(values[mask])
                #expect(bound <= value && bound > worst)
            }
        }
    }

    @Test(
        "a bound never exceeds the value of a loss that is at least as large", arguments: Objective.allCases)
    func boundsAreMonotone(objective: Objective) {
        var random = SplitMix64(seed: 5)
        let special = [0, 1e-300, 1, 1 + .ulpOfOne, 1e300, .infinity, .nan]
        var broken: [[Double]] = []
        for _ in 0..<20_000 {
            let partial = Double.random(in: 0..<2, using: &random)
            let loss =
                partial
                + [0, 1e-17, .random(in: 0..<2, using: &random)][Int.random(in: 0..<3, using: &random)]
            let base = [partial, loss, .random(in: 0..<2, using: &random)][
                Int.random(in: 0..<3, using: &random)]
            if objective.bound(lossAtLeast: partial, base: base) > objective.value(loss: loss, base: base) {
                broken.append([partial, loss, base])
            }
        }
        #expect(broken.isEmpty)
        for loss in special {
            let value = objective.value(loss: loss, base: 1)
            #expect(
                value == (loss.isFinite ? (objective == .absolute ? abs(loss - 1) : loss - 1) : .infinity))
        }
    }

    @Test("a full model whose loss is no number is refused, with the number of samples")
    func baseMustBeFinite() async throws {
        let subject = try RandomProblem(seed: 1)
        let runner = LocalRunner { item, _, _ in
            item.units.map { _ in SampleScores(losses: item.samples.map { _ in Float.nan }, correct: []) }
        }
        await #expect(throws: SearchError.self) {
            try await Search(subject.problem, settings: SearchSettings(), runner: runner).run()
        }
    }
}
