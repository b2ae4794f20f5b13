import Foundation
import Testing
import Work

@testable import Journal

@Suite struct RecordTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func everyBitOfAResultComesBack() throws {
        let bytes = Array(UInt8.min...UInt8.max)
        let records = [
            WorkRecord(
                key: WorkKey(kind: WorkKind("ü kind"), stage: 3, payload: bytes), result: bytes.reversed()),
            WorkRecord(key: WorkKey(kind: WorkKind("none"), stage: 3, payload: []), result: []),
        ]
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            try journal.keep(records)
        }
        #expect(try RunJournal.open(readOnlyIn: folder.run).records(ofStage: 3) == records)
    }

    @Test func payloadAndResultStandInTheFileAsTheyAre() throws {
        let record = WorkRecord(
            key: WorkKey(
                kind: WorkKind("losses"), stage: 0, payload: [7, 0, 0, 0x80, 0x3F, 0, 0x20, 0x40, 1]),
            result: [1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 1, 0])
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            try journal.keep([record])
        }
        let file = contents(folder.database)
        #expect(file.holds(record.key.payload))
        #expect(file.holds(record.result))
    }

    @Test func resultsComeBackByStageInTheOrderOfRecording() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        let order = [5, 2, 9, 0, 7]
        for index in order { try journal.keep([sampleRecord(index, stage: index % 2)]) }
        #expect(try journal.records(ofStage: 1) == [5, 9, 7].map { sampleRecord($0, stage: 1) })
        #expect(try journal.records(ofStage: 0) == [2, 0].map { sampleRecord($0, stage: 0) })
        #expect(try journal.records(ofStage: 2) == [])
    }

    /// A coordinator may be handed a result again: the first one on record is the one that counts.
    @Test func ofAResultThatIsKeptTwiceTheFirstOneCounts() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        let asked = Squares(count: 1)
        try journal.keep([asked.record(of: 0, result: 1)])
        try journal.keep([asked.record(of: 0, result: 2)])
        try journal.keep([asked.record(of: 0, result: 3), asked.record(of: 0, result: 4)])
        let records = try journal.records(ofStage: asked.stage)
        #expect(records.map(\.result) == [[1], [2], [3], [4]])
        var source = Squares(count: 1)
        source.replay(records)
        #expect(source.isComplete && source.total == 1)
    }

    @Test func aResultThatDoesNotFitItsItemIsNotKept() async throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        let runner = LocalRunner(journal: journal, name: { ContentID(sha256: [], size: $0.count) }) {
            item, _ in
            item.key.payload == [2] ? [] : [1]
        }
        await #expect(throws: WorkMismatch.self) { _ = try await runner.run(Squares(count: 5)) }
        #expect(try journal.records(ofStage: 4).map(\.key.payload) == [[0], [1]])
    }

    @Test(arguments: [1, 2, 4, 5])
    func aStageThatWasStoppedGoesOnWithoutComputingAnythingAgain(stop: Int) async throws {
        struct Stopped: Error {}
        var computed: [UInt8] = []
        func runner(_ journal: RunJournal, limit: Int) -> LocalRunner {
            LocalRunner(journal: journal, name: { ContentID(sha256: [], size: $0.count) }) { item, _ in
                if computed.count == limit { throw Stopped() }
                computed += item.key.payload
                return [item.key.payload[0] &* item.key.payload[0]]
            }
        }
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            await #expect(throws: Stopped.self) {
                _ = try await runner(journal, limit: stop).run(Squares(count: 6))
            }
            #expect(try journal.records(ofStage: 4).count == stop)
        }
        let journal = try RunJournal.resume(in: folder.run, identity: .sample)
        let end = try await runner(journal, limit: .max).run(Squares(count: 6))
        #expect(computed.sorted() == [0, 1, 2, 3, 4, 5])
        // 0 + 1 + 4 + 9 + 16 + 25.
        #expect(end.total == 55)
    }
}

/// The sum of the first squares, each an item of its own: work that the journal knows nothing of.
private struct Squares: WorkSource {
    let kind = WorkKind("squares")
    let stage = 4
    let smallestCost = WorkCost(scale: "squares", amount: 1)
    private var squares: [Int?]
    private var isOut: [Bool]

    init(count: Int) {
        squares = [Int?](repeating: nil, count: count)
        isOut = [Bool](repeating: false, count: count)
    }

    var isComplete: Bool { !squares.contains(nil) }
    var total: Int { squares.reduce(0) { $0 + ($1 ?? 0) } }

    private func item(_ number: Int) -> WorkItem {
        WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: [UInt8(number)]), shard: nil, cost: smallestCost,
            pieces: [number])
    }

    func record(of number: Int, result: UInt8) -> WorkRecord {
        WorkRecord(key: item(number).key, result: [result])
    }

    mutating func next(for worker: WorkerView) -> WorkItem? {
        guard let number = squares.indices.first(where: { squares[$0] == nil && !isOut[$0] }) else {
            return nil
        }
        isOut[number] = true
        return item(number)
    }

    func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        guard result.count == 1 else { throw WorkMismatch("has \(result.count) bytes") }
    }

    mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        squares[item.pieces[0]] = squares[item.pieces[0]] ?? Int(result[0])
        return false
    }

    mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind, record.key.stage == stage, record.key.payload.count == 1,
            squares.indices.contains(Int(record.key.payload[0]))
        else { return .none }
        return .part(item(Int(record.key.payload[0])), result: record.result)
    }

    func needs(_ item: WorkItem) -> Bool { squares[item.pieces[0]] == nil }

    mutating func giveBack(_ item: WorkItem) { isOut[item.pieces[0]] = false }

    func describe(_ item: WorkItem, pieces: [Int]) -> String { "the squares of \(pieces)" }
}
