internal import Datasets
internal import Foundation
internal import Journal
internal import Search

/// Waits for room on the disk, in the thread that wants to write; an interruption ends the wait.
struct RoomWait: Sendable {
    let interruption: Interruption
    /// Told with a sentence, again from time to time, while there is no room, and with nothing once there is.
    let paused: @Sendable (String?) -> Void

    private static let tryEvery = 1.0
    private static let noteEvery = 60.0

    /// Does `body` as often as the disk is full.
    ///
    /// - Throws: what else `body` throws; `Interrupted`.
    func retrying<Value>(_ body: () throws -> Value) throws -> Value {
        var waited = 0.0
        while true {
            do {
                let value = try body()
                if waited > 0 { paused(nil) }
                return value
            } catch JournalError.diskFull(let file) {
                if waited.truncatingRemainder(dividingBy: RoomWait.noteEvery) == 0 {
                    paused(JournalError.pauseNote(file: file))
                }
                for _ in 0..<10 {
                    try interruption.check()
                    Thread.sleep(forTimeInterval: RoomWait.tryEvery / 10)
                }
                waited += RoomWait.tryEvery
            }
        }
    }
}

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
