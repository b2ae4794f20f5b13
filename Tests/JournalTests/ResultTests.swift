import ComputationGraph
import Datasets
import Foundation
import Search
import Testing

@testable import Journal

@Suite struct ResultTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func everyBitOfAResultComesBack() throws {
        // A NaN with a payload, both zeros, infinity, and the smallest and largest magnitudes.
        let bits: [UInt32] = [0x7FC1_2345, 0x8000_0000, 0, 0x7F80_0000, 1, 0x7F7F_FFFF]
        let result = RecordedResult(
            state: Mask([Edge(node: 12, slot: 1), Edge(node: 3, slot: 0)]), edge: Edge(node: 7, slot: 2),
            block: BlockID(shard: 2, index: 5),
            scores: SampleScores(losses: bits.map(Float.init(bitPattern:)), correct: [0, 1, 2, .max, 4, 5]))
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            try journal.record([result], level: 3)
        }
        let read = try RunJournal.open(readOnlyIn: folder.run).results(ofLevel: 3)
        #expect(read.count == 1)
        #expect(read[0].state.units.map(\.edge) == [Edge(node: 3, slot: 0), Edge(node: 12, slot: 1)])
        #expect(read[0].edge == Edge(node: 7, slot: 2))
        #expect(read[0].block == BlockID(shard: 2, index: 5))
        #expect(read[0].scores.losses.map(\.bitPattern) == bits)
        #expect(read[0].scores.correct == [0, 1, 2, .max, 4, 5])
    }

    @Test func numbersStandInTheFileAsLittleEndianFloat32AndUInt32() throws {
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            let scores = SampleScores(losses: [1, 2.5, 0.1], correct: [1, 258, 65536])
            try journal.record(
                [
                    RecordedResult(
                        state: .empty, edge: nil, block: BlockID(shard: 0, index: 0), scores: scores)
                ],
                level: 0)
        }
        let file = contents(folder.database)
        // IEEE 754 binary32: 1 = 3f800000, 2.5 = 40200000, 0.1 = 3dcccccd.
        #expect(file.holds([0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x20, 0x40, 0xCD, 0xCC, 0xCC, 0x3D]))
        #expect(file.holds([1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 1, 0]))
    }

    @Test func resultsComeBackByLevelInTheOrderOfRecording() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        let order = [5, 2, 9, 0, 7]
        for index in order { try journal.record([sampleResult(index)], level: index % 2) }
        #expect(try journal.results(ofLevel: 1) == [5, 9, 7].map(sampleResult))
        #expect(try journal.results(ofLevel: 0) == [2, 0].map(sampleResult))
        #expect(try journal.results(ofLevel: 2) == [])
    }

    @Test(arguments: [nil, Edge(node: 1, slot: 0)])
    func aResultThatIsKeptAlreadyStaysAsItIs(edge: Edge?) throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        func result(_ loss: Float) -> RecordedResult {
            RecordedResult(
                state: .empty, edge: edge, block: BlockID(shard: 0, index: 0),
                scores: SampleScores(losses: [loss], correct: []))
        }
        try journal.record([result(1)], level: 1)
        try journal.record([result(2)], level: 1)
        try journal.record([result(3), result(4)], level: 1)
        #expect(try journal.results(ofLevel: 1) == [result(1)])
    }

    @Test func aTaskWithTooFewScoreListsKeepsNothing() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        var race = LevelRace(try sampleLevel(), division: try sampleDivision())
        let next = race.nextTask()
        let task = try #require(next)
        #expect(throws: JournalError.mismatchedScores(level: 1, expected: task.edges.count, given: 0)) {
            try journal.record([(task, exactScores(task)), (task, [])], level: 1)
        }
        #expect(try journal.results(ofLevel: 1) == [])
    }

    @Test(arguments: [1, 2, 4, 5])
    func aLevelThatWasStoppedGoesOnWithoutComputingAnythingAgain(stop: Int) async throws {
        struct Stopped: Error {}
        let (level, division) = (try sampleLevel(), try sampleDivision())
        var uninterrupted = 0
        let whole = try await LocalEvaluator(compute: { task in
            uninterrupted += 1
            return exactScores(task)
        }).evaluate(level, division: division, usesBounds: true)
        try #require(uninterrupted > stop)

        var computed: [LevelTask] = []
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            let evaluator = LocalEvaluator(journal: journal) { task in
                if computed.count == stop { throw Stopped() }
                computed.append(task)
                return exactScores(task)
            }
            await #expect(throws: Stopped.self) {
                _ = try await evaluator.evaluate(level, division: division, usesBounds: true)
            }
        }
        let journal = try RunJournal.resume(in: folder.run, identity: .sample)
        let resumed = try await LocalEvaluator(journal: journal) { task in
            computed.append(task)
            return exactScores(task)
        }.evaluate(level, division: division, usesBounds: true)

        let evaluations = computed.flatMap { task in
            task.edges.map { [$0?.description ?? "", "\(task.block)"] }
        }
        #expect(Set(evaluations).count == evaluations.count)
        #expect(resumed.best.map(\.mask) == whole.best.map(\.mask))
        #expect(resumed.best.map(\.loss.bitPattern) == whole.best.map(\.loss.bitPattern))
        #expect(resumed.best.map(\.sampleLosses) == whole.best.map(\.sampleLosses))
    }
}

/// 24 samples in 2 shards, blocks of 4.
private func sampleDivision() throws -> SampleDivision {
    SampleDivision(
        sharding: try Sharding(samples: 24, shards: 2, blockSize: 4),
        weights: [Float](repeating: 1, count: 24))
}

/// Six expansions of the full model, the best two wanted.
private func sampleLevel() throws -> Level {
    let edges = (0..<6).map { Edge(node: $0, slot: 0) }
    return Level(
        number: 1, parents: [Parent(unmeasured: .empty, try sampleDivision())],
        expansions: edges.enumerated().map { index, edge in
            Expansion(
                parent: 0, edge: edge, mask: Mask([edge]),
                cost: Cost(parameters: 100 - index, flops: 1000 - index))
        },
        keep: 2, baseLoss: 0.5, objective: .absolute)
}

/// Made-up losses that depend on edge and sample alone.
private func exactScores(_ task: LevelTask) -> [SampleScores] {
    task.edges.map { edge in
        SampleScores(
            losses: task.samples.map {
                Float(($0 * 7 + (edge?.node ?? 0) * 5) % 11) / 8 + Float(edge?.node ?? 0) / 4
            },
            correct: [])
    }
}
