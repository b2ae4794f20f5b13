internal import Datasets
internal import Search

/// A journal for a search in this process: it waits for room on the disk.
final class PatientJournal: LevelJournal, Sendable {
    private let journal: any LevelJournal & Sendable
    private let room: RoomWait

    init(_ journal: any LevelJournal & Sendable, _ room: RoomWait) {
        self.journal = journal
        self.room = room
    }

    func results(of level: Level) throws -> [RecordedResult] { try journal.results(of: level) }

    func record(_ task: LevelTask, _ scores: [SampleScores], level: Int) throws {
        try room.retrying { try journal.record(task, scores, level: level) }
    }

    func record(_ batch: [(task: LevelTask, scores: [SampleScores])], level: Int) throws {
        try room.retrying { try journal.record(batch, level: level) }
    }
}
