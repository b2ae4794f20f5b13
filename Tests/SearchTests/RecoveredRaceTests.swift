import ComputationGraph
import Datasets
import Testing
import Work

@testable import Search

@Suite("A race by the loss after recovery")
struct RecoveredRaceTests {
    private static let recovery = Recovery([.leastSquares])

    /// 5 × 60 random problems.
    @Test(
        "ends as brute force does, to the bit, for any number of workers, and says what was lost at the cut",
        arguments: 0..<5)
    func agreesWithBruteForce(group: Int) async throws {
        var (saved, differing) = (0, 0)
        for case_ in 0..<60 {
            let seed = UInt64(50_000 + group * 1000 + case_)
            let plain = try RandomProblem(seed: seed)
            let subject = plain.recovered
            let objective: Objective = case_ % 2 == 0 ? .absolute : .signed
            let (strategy, keep, steps): (Strategy, Int, Int) =
                switch case_ % 4 {
                case 0, 1: (.greedy, 1, 3)
                case 2: (.beam(width: 3), 3, 3)
                default: (.exhaustive, .max, 2)
                }
            let limit: Double? = case_ % 7 == 6 ? 0.05 : nil
            let per: Budget.Quantity? = [nil, .flops, nil, .parameters][case_ / 2 % 4]
            func naive(_ problem: RandomProblem) -> NaiveSearch {
                NaiveSearch(problem, objective: objective, maximumIncrease: limit ?? .infinity, per: per)
            }
            let levels = naive(subject).levels(keep: keep, steps: steps)
            let expected = levels.enumerated().map { index, level in
                level.map { Fingerprint($0, samples: index == levels.count - 1) }
            }
            if expected.map({ $0.map(\.mask) })
                != naive(plain).levels(keep: keep, steps: steps).map({ $0.map(\.mask) })
            {
                differing += 1
            }
            let runners: [(name: String, runner: any WorkRunner, bounds: Bool)] = [
                ("bounds", LocalRunner(plain.oracle), true),
                ("no bounds", LocalRunner(plain.oracle), false),
                ("unruly", UnrulyRunner(plain.oracle, workers: 1 + case_ % 5, seed: seed), case_ % 11 != 0),
                (
                    "equal workers", SimulatedWorkers(2 + case_ % 7, seed: seed) { plain.oracle.scores($0) },
                    true
                ),
            ]
            for (name, runner, bounds) in runners {
                let settings = SearchSettings(
                    strategy: strategy, objective: objective, steps: steps, maximumLossIncrease: limit,
                    usesBounds: bounds, per: per, recovery: Self.recovery)
                let result = try await Search(subject.problem, settings: settings, runner: runner).run()
                #expect(result.fingerprints == expected, "seed \(seed), \(strategy), \(name)")
                #expect(result.base.loss.bitPattern == naive(subject).base.loss.bitPattern)
                #expect(result.base.lossAtCut == nil)
                for state in result.levels.joined() {
                    #expect(state.variant.recovery == Self.recovery)
                    let cut = naive(plain).entry(state.mask).loss
                    #expect(
                        state.lossAtCut?.bitPattern == cut.bitPattern, "seed \(seed), \(state.mask), \(name)")
                }
                let work = result.totalWork
                #expect(work.blockEvaluations <= work.bruteForceBlockEvaluations)
                if name == "bounds" { saved += work.bruteForceBlockEvaluations - work.blockEvaluations }
            }
        }
        #expect(saved > 0, "nothing was ever dropped: the bound was not tried")
        #expect(differing > 10, "the recovery never decided anything")
    }

    @Test("says what was lost at the cut where the budget is what changes are divided by the saving of")
    func budgets() async throws {
        var met = 0
        for seed in 0..<20 as Range<UInt64> {
            let plain = try RandomProblem(seed: 60_000 + seed, nodes: 4...7, kind: .realistic)
            let result = try await Search(
                plain.recovered.problem,
                settings: SearchSettings(until: Budget("flops=0.6"), per: .flops, recovery: Self.recovery),
                runner: LocalRunner(plain.oracle)
            ).run()
            let naive = NaiveSearch(plain, objective: .absolute)
            for state in result.path {
                #expect(
                    state.lossAtCut?.bitPattern == naive.entry(state.mask).loss.bitPattern, "seed \(seed)")
            }
            if result.end == .budget { met += 1 }
        }
        #expect(met > 0)
    }

    @Test("reports no loss at the cut where nothing is recovered")
    func withoutRecovery() async throws {
        let plain = try RandomProblem(seed: 3)
        let result = try await Search(
            plain.problem, settings: SearchSettings(steps: 2), runner: LocalRunner(plain.oracle)
        ).run()
        #expect(result.path.count > 0 && result.path.allSatisfy { $0.lossAtCut == nil })
    }

    // MARK: Handing out

    /// A level of the full model's expansions, all recovered.
    private func race(
        _ plain: RandomProblem, shards: Int = 1, keep: Int = 1, usesBounds: Bool = true
    ) throws -> LevelRace {
        let samples = plain.division.sharding.samples
        let division = SampleDivision(
            sharding: try Sharding(samples: samples, shards: shards, blockSize: max(1, samples / shards / 6)),
            weights: plain.division.weights)
        let base = NaiveSearch(plain, objective: .absolute).base
        let full = State(
            variant: Variant(.empty, recovery: Self.recovery), unit: nil, loss: base.loss, objective: 0,
            correct: nil, sampleLosses: base.losses, cost: base.cost)
        let level = Level(
            number: 1, parents: [FrontierState(full, on: BlockList(hardestFirst: full, division), division)],
            expansions: plain.problem.candidates.expansions(of: .empty, in: plain.graph).map { unit in
                Expansion(
                    parent: 0, unit: unit, variant: full.variant.removing(unit),
                    cost: plain.problem.costs.cost(of: Mask([unit])))
            }, keep: keep, baseLoss: base.loss, objective: .absolute)
        return LevelRace(level, division: division, usesBounds: usesBounds, fitData: RandomProblem.fitData)
    }

    /// Runs a race as equal workers would: each asks for the next item once its last one is folded.
    ///
    /// - Returns: who computed which expansion of which shard, in the order of items.
    private func handed(_ start: LevelRace, workers: Int, _ oracle: LossOracle) throws -> [(
        worker: Int, item: WorkItem
    )] {
        var race = start
        var homes: [UInt64: Int] = [:]
        var queue: [(worker: Int, item: WorkItem)] = []
        var handed: [(worker: Int, item: WorkItem)] = []
        var idle = Array(0..<workers)
        while !race.isComplete {
            for worker in idle {
                let known = homes
                let view = WorkerView(sharing: workers, prefers: { (known[$0] ?? worker) == worker })
                guard let item = race.next(for: view) else { continue }
                homes[item.locality] = worker
                queue.append((worker, item))
                handed.append((worker, item))
                idle.removeAll { $0 == worker }
            }
            guard !queue.isEmpty else {
                Issue.record("nothing is out, and the race is not over")
                break
            }
            let (worker, item) = queue.removeFirst()
            _ = race.fold(item, try oracle.result(of: item))
            idle.append(worker)
        }
        return handed
    }

    @Test("gives an expansion to the worker that has refitted it, and no other", arguments: [1, 2, 3, 8])
    func staysWithWorkers(workers: Int) throws {
        for seed in 0..<20 as Range<UInt64> {
            let plain = try RandomProblem(seed: 30 + seed, nodes: 5...7, samples: 24...40, kind: .realistic)
            for shards in [1, 2] {
                let race = try race(plain, shards: shards)
                let handed = try handed(race, workers: workers, plain.oracle)
                var homes: [UInt64: Int] = [:]
                var (refits, moved) = (Set<[Int]>(), 0)
                for (worker, item) in handed {
                    let losses = try LossItem(payload: item.key.payload)
                    // A single expansion: each has weights of its own.
                    #expect(losses.units.count == 1 && losses.fitData == RandomProblem.fitData)
                    #expect(item.contents == [RandomProblem.fitData])
                    if let home = homes[item.locality], home != worker { moved += 1 }
                    homes[item.locality] = worker
                    refits.insert([worker, Int(truncatingIfNeeded: item.locality)])
                }
                // Whoever asks while nothing else is out may take another's: more often where there are more workers than work.
                #expect(
                    moved * (workers > 3 ? 3 : 10) <= handed.count,
                    "seed \(seed): \(moved) of \(handed.count)")
                #expect(refits.count <= homes.count + moved)
                #expect(homes.count <= race.level.expansions.count * shards)
            }
        }
    }

    @Test("lets a worker go on with what it has begun before it begins anything else")
    func goesOn() throws {
        for seed in 0..<20 as Range<UInt64> {
            let plain = try RandomProblem(seed: 70 + seed, nodes: 5...7, samples: 24...40, kind: .realistic)
            var race = try race(plain, usesBounds: false)
            let blocks = race.level.parents[0].blocks.ids.count
            try #require(blocks > 2 && race.level.expansions.count > 2)
            // Without bounds nothing is dropped: one expansion after the other is finished.
            var order: [UInt64] = []
            while let item = race.next(for: WorkerView()) {
                order.append(item.locality)
                _ = race.fold(item, try plain.oracle.result(of: item))
            }
            #expect(order.count == blocks * race.level.expansions.count)
            for start in stride(from: 0, to: order.count, by: blocks) {
                #expect(Set(order[start..<start + blocks]).count == 1, "seed \(seed)")
            }
        }
    }

    @Test("says that the first item of an expansion costs a recovery, and later ones losses alone")
    func costs() throws {
        var race = try race(
            RandomProblem(seed: 71, nodes: 6...6, samples: 30...30, kind: .realistic), usesBounds: false)
        var begun: Set<UInt64> = []
        while let item = race.next(for: WorkerView()) {
            #expect(
                item.cost.scale
                    == (begun.insert(item.locality).inserted ? "recovery" : "losses after recovery"))
            let samples = try LossItem(payload: item.key.payload).samples
            let scores = SampleScores(losses: samples.map { _ in 1 }, correct: [])
            _ = race.fold(item, LossItem.result([scores]))
        }
        #expect(begun.count == race.level.expansions.count)
    }

    @Test("hands out a shard's blocks only to those that may have them, and again what was given back")
    func shards() throws {
        let plain = try RandomProblem(seed: 5, nodes: 6...6, samples: 30...30)
        var race = try race(plain, shards: 3)
        let handed = race.next(for: WorkerView(holds: { $0 == 2 }))
        let item = try #require(handed)
        #expect(item.shard == 2)
        race.giveBack(item)
        let again = race.next(for: WorkerView(holds: { $0 == 2 }))
        #expect(again?.key == item.key)
        var other = try self.race(plain, shards: 3)
        let nothing = other.next(for: WorkerView(holds: { $0 > 2 }))
        #expect(nothing == nil)
    }

    // MARK: Items

    @Test("has items that name the fit data, and takes no results on other data")
    func items() throws {
        let plain = try RandomProblem(seed: 9, nodes: 5...5, samples: 12...12)
        var race = try race(plain)
        let first = race.next(for: WorkerView())
        let item = try #require(first)
        let losses = try LossItem(payload: item.key.payload)
        #expect(losses.fitData == RandomProblem.fitData && losses.state.recovery == Self.recovery)
        #expect(try LossItem(payload: losses.payload) == losses)
        func record(_ state: Variant, _ fitData: ContentID?) throws -> WorkRecord {
            let other = LossItem(
                state: state, fitData: fitData, block: losses.block, samples: losses.samples,
                units: losses.units)
            return WorkRecord(
                key: WorkKey(kind: LossItem.kind, stage: 2, payload: other.payload),
                result: LossItem.result(plain.oracle.scores(other)))
        }
        guard case .part(let own, _) = race.adopt(try record(losses.state, RandomProblem.fitData)) else {
            Issue.record("its own result is of no use to it")
            return
        }
        #expect(own.key == item.key)
        let stranger = ContentID(sha256: [UInt8](repeating: 8, count: 32), size: 100)
        for (state, fitData) in [
            (losses.state, stranger), (losses.state, nil), (Variant(losses.state.mask), nil),
            (
                Variant(losses.state.mask, recovery: Recovery([.leastSquares], ridge: 0)),
                RandomProblem.fitData
            ),
        ] {
            #expect(race.adopt(try record(state, fitData)) == .none, "\(state)")
        }
    }

    @Test("shares results with searches of the same recovery on the same data, and with no others")
    func sharing() async throws {
        let plain = try RandomProblem(seed: 15, nodes: 5...5, samples: 20...20, kind: .realistic)
        let shared = SharedResults()
        var measured = 0
        let runner = LocalRunner(journal: shared) { item, _, _ in
            measured += item.units.count
            return plain.oracle.scores(item)
        }
        func search(_ fitData: ContentID, _ recovery: Recovery) async throws -> (SearchResult, measured: Int)
        {
            measured = 0
            var problem = plain.problem
            problem.fitData = fitData
            let result = try await Search(
                problem, settings: SearchSettings(steps: 2, recovery: recovery), runner: runner,
                shared: shared
            ).run()
            return (result, measured)
        }
        let first = try await search(RandomProblem.fitData, Self.recovery)
        let again = try await search(RandomProblem.fitData, Self.recovery)
        #expect(first.measured > 0 && again.measured == 0)
        #expect(again.0.fingerprints == first.0.fingerprints)
        let other = ContentID(sha256: [UInt8](repeating: 8, count: 32), size: 100)
        #expect(try await search(other, Self.recovery).measured > 0)
        #expect(try await search(other, Recovery([.leastSquares], ridge: 0)).measured > 0)
    }
}
