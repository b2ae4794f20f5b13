import ComputationGraph
import Datasets
import Search
import Testing
import Work

@Suite("A strategy")
struct StrategyTests {
    private func search(_ subject: RandomProblem, _ settings: SearchSettings) async throws -> SearchResult {
        try await Search(
            subject.problem, settings: settings, runner: LocalRunner(subject.oracle)
        ).run()
    }

    @Test("beam of width 1 is greedy, and a beam as wide as the levels is exhaustive", arguments: 0..<20)
    func beamsBetweenGreedyAndExhaustive(seed: Int) async throws {
        // Of finite losses: a set whose loss is none is no state.
        let subject = try RandomProblem(seed: UInt64(seed) &+ 300, nodes: 3...5, kind: .realistic)
        let greedy = try await search(subject, SearchSettings(strategy: .greedy, steps: 3))
        let narrow = try await search(subject, SearchSettings(strategy: .beam(width: 1), steps: 3))
        #expect(greedy.fingerprints == narrow.fingerprints)
        #expect(greedy.path.map(\.mask) == narrow.path.map(\.mask))
        let exhaustive = try await search(subject, SearchSettings(strategy: .exhaustive, steps: 3))
        let wide = try await search(subject, SearchSettings(strategy: .beam(width: 10_000), steps: 3))
        #expect(exhaustive.fingerprints == wide.fingerprints)

        // Exhaustive: every set of three that can be built up edge by edge, each once.
        var reachable: Set<Mask> = [.empty]
        for level in exhaustive.levels {
            var next: Set<Mask> = []
            for mask in reachable {
                for unit in subject.problem.candidates.expansions(of: mask, in: subject.graph) {
                    next.insert(mask.removing(unit))
                }
            }
            #expect(Set(level.map(\.mask)) == next && level.count == next.count)
            reachable = next
        }
        // Every greedy state is among them.
        for (level, all) in zip(greedy.levels, exhaustive.levels) {
            #expect(all[0].objective <= level[0].objective && all.contains { $0.mask == level[0].mask })
        }
    }

    @Test("measures a set that several parents reach once", arguments: 0..<20)
    func setsAreUnique(seed: Int) async throws {
        let subject = try RandomProblem(seed: UInt64(seed) &+ 500)
        let settings = SearchSettings(strategy: .beam(width: 4), steps: 3, usesBounds: false)
        var measured: [Mask] = []
        let runner = LocalRunner { item, _, _ in
            if item.block == BlockID(shard: 0, index: 0) { measured += item.variants.map(\.mask) }
            return subject.oracle.scores(item)
        }
        let result = try await Search(subject.problem, settings: settings, runner: runner).run()
        #expect(measured.count == Set(measured).count)
        #expect(measured.count == result.totalWork.candidates)
        for level in result.levels { #expect(Set(level.map(\.mask)).count == level.count) }
    }

    @Test("path leads from the full model to the result, one edge at a time, by kept states")
    func pathIsAPath() async throws {
        for seed in 0..<30 as Range<UInt64> {
            let subject = try RandomProblem(seed: seed &+ 800)
            let result = try await search(subject, SearchSettings(strategy: .beam(width: 3)))
            var mask = Mask.empty
            for (step, state) in result.path.enumerated() {
                mask = mask.removing(try #require(state.unit))
                #expect(state.mask == mask && state.mask.count == step + 1)
                #expect(result.levels[step].contains { $0.mask == mask })
            }
            #expect(result.path.count == result.levels.count)
            // It goes on until nothing can be removed any more.
            #expect(
                result.levels.last?.allSatisfy {
                    subject.problem.candidates.expansions(of: $0.mask, in: subject.graph).isEmpty
                } ?? true)
        }
    }

    @Test("random takes the same path for the same seed, and another for another")
    func randomIsReproducible() async throws {
        let subject = try RandomProblem(seed: 21, nodes: 9...9)
        var paths: Set<[Mask]> = []
        for seed in 0..<8 as Range<UInt64> {
            let once = try await search(subject, SearchSettings(strategy: .random(seed: seed)))
            let again = try await search(
                subject, SearchSettings(strategy: .random(seed: seed), usesBounds: false))
            #expect(once.fingerprints == again.fingerprints)
            paths.insert(once.path.map(\.mask))
        }
        #expect(paths.count >= 4)
    }

    @Test("never passes the largest loss increase, and stops where nothing stays below it", arguments: 0..<20)
    func respectsTheLimit(seed: Int) async throws {
        let subject = try RandomProblem(seed: UInt64(seed) &+ 70, kind: .realistic)
        let free = try await search(subject, SearchSettings())
        let rises = free.path.map { $0.loss - free.base.loss }.sorted()
        guard let limit = rises.dropFirst(rises.count / 2).first else { return }
        let result = try await search(subject, SearchSettings(maximumLossIncrease: limit))
        #expect(result.path.allSatisfy { $0.loss - result.base.loss <= limit })
        let nothing = try await search(subject, SearchSettings(maximumLossIncrease: -.infinity))
        #expect(nothing.path.isEmpty && nothing.levels.isEmpty)
    }

    @Test(
        "stops at the first level that meets the budget",
        arguments: ["flops=0.6", "parameters=0.5", "flops=0.0"])
    func stopsAtTheBudget(text: String) async throws {
        let budget = try #require(Budget(text))
        func isMet(_ state: State, _ base: State) -> Bool {
            budget.quantity == .flops
                ? Double(state.cost.flops) <= budget.fraction * Double(base.cost.flops)
                : Double(state.cost.parameters) <= budget.fraction * Double(base.cost.parameters)
        }
        var met = 0
        for seed in 0..<20 as Range<UInt64> {
            let subject = try RandomProblem(seed: seed &+ 1100)
            let result = try await search(subject, SearchSettings(strategy: .beam(width: 2), until: budget))
            for level in result.levels.dropLast() { #expect(!level.contains { isMet($0, result.base) }) }
            guard let last = result.levels.last, let first = last.first(where: { isMet($0, result.base) })
            else { continue }
            met += 1
            #expect(result.path.last?.mask == first.mask)
        }
        #expect(met > 0 || budget.fraction == 0)
    }

    @Test("is read from what it prints, and from nothing else")
    func parses() {
        for strategy: Strategy in [
            .greedy, .beam(width: 1), .beam(width: 40), .exhaustive, .random(seed: .max),
        ] {
            #expect(Strategy(strategy.description) == strategy)
        }
        #expect(Strategy("random") == .random(seed: 0))
        #expect(Strategy("beam") == .beam(width: 4))
        for text in [
            "", "beam:0", "beam:-1", "beam:x", "greedy:1", "random:-1", "random:1:2", "Greedy",
            "beam:",
        ] {
            #expect(Strategy(text) == nil, "\(text)")
        }
        for text in ["flops=1", "flops=-0.1", "flops", "macs=0.5", "flops=nan", "flops=0.5=2", "parameters="]
        {
            #expect(Budget(text) == nil, "\(text)")
        }
        #expect(Budget("flops=0.5")?.description == "flops=0.5")
    }
}
