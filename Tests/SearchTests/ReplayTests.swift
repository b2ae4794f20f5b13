import ComputationGraph
import Datasets
import Search
import Testing
import Work

@Suite("Results of an earlier run")
struct ReplayTests {
    @Test("lead to the same outcome, whichever of them were kept, in whatever order", arguments: 0..<80)
    func replaysSubsets(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed) &+ 4_000)
        let subject = try RandomProblem(seed: random.next())
        let shards = subject.division.sharding.shards
        let level = subject.level(
            keep: [1, 2, 5, .max][seed % 4], objective: seed % 2 == 0 ? .absolute : .signed, using: &random)
        let expected = try UnrulyRunner(subject.oracle, workers: 1, seed: 0)
            .run(LevelRace(level, division: subject.division, usesBounds: false), shards: shards).fingerprints

        /// A result as a journal keeps it, all on the state's own block unless told otherwise.
        func record(
            _ state: Variant, _ units: [Unit?], _ block: BlockID, _ samples: [Int], _ scores: [SampleScores],
            stage: Int? = nil, kind: WorkKind = LossItem.kind
        ) -> WorkRecord {
            let item = LossItem(state: state, block: block, samples: samples, units: units)
            return WorkRecord(
                key: WorkKey(kind: kind, stage: stage ?? level.number + 1, payload: item.payload),
                result: LossItem.result(scores))
        }
        var results: [WorkRecord] = []
        for expansion in level.expansions {
            let parent = level.parents[expansion.parent]
            for (id, samples) in zip(parent.blocks.ids, parent.blocks.samples) {
                let scores = subject.oracle.losses(expansion.variant.mask, samples: samples)
                results.append(record(parent.variant, [expansion.unit], id, samples, [scores]))
            }
        }
        let number = Int.random(in: 0...results.count, using: &random)
        var kept = Array(results.shuffled(using: &random).prefix(number))
        kept += Array(kept.prefix(3))
        // What belongs to another level, to no block, or to another division is passed over.
        let stray = SampleScores(losses: [7], correct: [])
        let first = BlockID(shard: 0, index: 0)
        let unknown = Unit(Edge(node: 99, slot: 0))
        kept.insert(record(Variant(.empty).removing(unknown), [nil], first, [0], [stray]), at: 0)
        kept.append(record(Variant(.empty), [nil], first, [0], [stray]))
        if let expansion = level.expansions.first {
            let parent = level.parents[expansion.parent]
            let (block, samples) = (parent.blocks.ids[0], parent.blocks.samples[0])
            let wrong = SampleScores(losses: samples.map { _ in 7 }, correct: [])
            func add(_ record: WorkRecord) { kept.insert(record, at: 0) }
            add(record(parent.variant, [expansion.unit], BlockID(shard: 9, index: 9), samples, [wrong]))
            add(
                record(
                    parent.variant, [expansion.unit], block, samples + [samples[0]],
                    [SampleScores(losses: wrong.losses + [0], correct: [])]))
            add(
                record(
                    parent.variant, [expansion.unit], block, samples,
                    [SampleScores(losses: wrong.losses + [0], correct: [])]))
            add(record(parent.variant, [unknown], block, samples, [wrong]))
            add(record(parent.variant, [expansion.unit], block, samples, [wrong], stage: level.number + 2))
            add(
                record(
                    parent.variant, [expansion.unit], block, samples, [wrong], kind: WorkKind("averages")))
            add(
                WorkRecord(
                    key: WorkKey(kind: LossItem.kind, stage: level.number + 1, payload: [1, 2, 3]), result: []
                ))
        }

        var race = LevelRace(level, division: subject.division)
        race.replay(kept)
        #expect(
            try UnrulyRunner(subject.oracle, workers: 2, seed: UInt64(seed)).run(race, shards: shards)
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
            subject.problem, settings: settings, runner: LocalRunner(subject.oracle)
        ).run()

        let journal = MemoryJournal()
        var computed = 0
        var result: SearchResult?
        var attempts = 0
        while result == nil {
            attempts += 1
            var left = 1 + (seed * 7 + attempts * 3) % 11
            let runner = LocalRunner(journal: journal) { item, _, _ in
                if left == 0 { throw Stopped() }
                left -= 1
                computed += item.units.count
                return subject.oracle.scores(item)
            }
            do {
                result = try await Search(subject.problem, settings: settings, runner: runner).run()
            } catch is Stopped {}
        }
        #expect(result?.fingerprints == whole.fingerprints)
        #expect(result?.path.map(\.mask) == whole.path.map(\.mask))
        let evaluations = try journal.evaluations()
        #expect(evaluations.count == Set(evaluations).count, "something was computed twice")
        #expect(computed == evaluations.count)
    }
}

/// Keeps results as a file would.
private final class MemoryJournal: WorkJournal {
    private var kept: [WorkRecord] = []

    func records(ofStage stage: Int) -> [WorkRecord] { kept.filter { $0.key.stage == stage }.reversed() }

    func keep(_ records: [WorkRecord]) { kept += records }

    func note(_ numerics: Numerics) {}

    /// Which variants were measured on which blocks in which stage.
    func evaluations() throws -> [String] {
        try kept.flatMap { record in
            let item = try LossItem(payload: record.key.payload)
            return item.variants.map { "\(record.key.stage) \($0) \(item.block) \(item.samples)" }
        }
    }
}
