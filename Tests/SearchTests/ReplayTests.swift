import ComputationGraph
import Datasets
import Search
import Testing

@Suite("Results of an earlier run")
struct ReplayTests {
    @Test("lead to the same outcome, whichever of them were kept, in whatever order", arguments: 0..<80)
    func replaysSubsets(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed) &+ 4_000)
        let subject = try RandomProblem(seed: random.next())
        let shards = subject.division.sharding.shards
        let level = subject.level(
            keep: [1, 2, 5, .max][seed % 4], objective: seed % 2 == 0 ? .absolute : .signed, using: &random)
        let expected = UnrulyEvaluator(subject.oracle, workers: 1, seed: 0)
            .run(LevelRace(level, division: subject.division, usesBounds: false), shards: shards).fingerprints

        var results: [RecordedResult] = []
        for expansion in level.expansions {
            let parent = level.parents[expansion.parent]
            for (id, samples) in zip(parent.blocks.ids, parent.blocks.samples) {
                results.append(
                    RecordedResult(
                        state: parent.mask, edge: expansion.edge, block: id,
                        scores: subject.oracle.losses(expansion.mask, samples: samples)))
            }
        }
        let number = Int.random(in: 0...results.count, using: &random)
        var kept = Array(results.shuffled(using: &random).prefix(number))
        kept += Array(kept.prefix(3))
        // What belongs to another level, to no block, or to another division is passed over.
        let stray = SampleScores(losses: [7], correct: [])
        kept.insert(
            RecordedResult(
                state: Mask([Edge(node: 99, slot: 0)]), edge: nil, block: BlockID(shard: 0, index: 0),
                scores: stray), at: 0)
        kept.append(
            RecordedResult(state: .empty, edge: nil, block: BlockID(shard: 0, index: 0), scores: stray))
        if let one = results.first {
            kept.append(
                RecordedResult(
                    state: one.state, edge: one.edge, block: BlockID(shard: 9, index: 9), scores: one.scores))
            kept.insert(
                RecordedResult(
                    state: one.state, edge: one.edge, block: one.block,
                    scores: SampleScores(losses: one.scores.losses + [0], correct: [])), at: 0)
        }

        var race = LevelRace(level, division: subject.division)
        race.replay(kept)
        #expect(
            UnrulyEvaluator(subject.oracle, workers: 2, seed: UInt64(seed)).run(race, shards: shards)
                .fingerprints == expected)
    }

    @Test(
        "are not computed again: a search that is stopped at any task ends the same when it goes on",
        arguments: 0..<25)
    func resumes(seed: Int) async throws {
        struct Stopped: Error {}
        let subject = try RandomProblem(seed: UInt64(seed) &+ 60)
        let settings = SearchSettings(strategy: seed % 2 == 0 ? .greedy : .beam(width: 3), steps: 3)
        let whole = try await Search(
            subject.problem, settings: settings, evaluator: LocalEvaluator { subject.oracle.scores($0) }
        ).run()

        let journal = MemoryJournal()
        var computed = 0
        var result: SearchResult?
        var attempts = 0
        while result == nil {
            attempts += 1
            var left = 1 + (seed * 7 + attempts * 3) % 11
            let evaluator = LocalEvaluator(journal: journal) { task in
                if left == 0 { throw Stopped() }
                left -= 1
                computed += task.edges.count
                return subject.oracle.scores(task)
            }
            do {
                result = try await Search(subject.problem, settings: settings, evaluator: evaluator).run()
            } catch is Stopped {}
        }
        #expect(result?.fingerprints == whole.fingerprints)
        #expect(result?.path.map(\.mask) == whole.path.map(\.mask))
        #expect(
            journal.records.count == Set(journal.records.map(\.key)).count, "something was computed twice")
        #expect(computed == journal.records.count)
    }
}

/// Keeps results as a file would.
private final class MemoryJournal: LevelJournal {
    struct Record {
        let level: Int
        let result: RecordedResult
        var key: String { "\(level) \(result.state) \(result.edge?.description ?? "-") \(result.block)" }
    }
    private(set) var records: [Record] = []

    func results(of level: Level) -> [RecordedResult] {
        records.filter { $0.level == level.number }.map(\.result).reversed()
    }

    func record(_ task: LevelTask, _ scores: [SampleScores], level: Int) {
        for (edge, score) in zip(task.edges, scores) {
            records.append(
                Record(
                    level: level,
                    result: RecordedResult(state: task.state, edge: edge, block: task.block, scores: score)))
        }
    }
}
