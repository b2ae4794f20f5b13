internal import Foundation
internal import GRDB
public import Search

/// How a run ended.
public struct RunOutcome: Sendable {
    /// The states from the first removal to the result.
    public let path: [State]
    /// Wall time of the run, seconds.
    public let seconds: Double
    /// How many workers took part.
    public let workers: Int

    /// An outcome; the states' per-sample losses are not kept.
    public init(path: [State], seconds: Double, workers: Int) {
        self.path = path
        self.seconds = seconds
        self.workers = workers
    }
}

extension RunJournal {
    /// Notes that the run is over. The journal is then one file that can be read anywhere, e.g. in a read-only
    /// folder.
    ///
    /// - Throws: `diskFull`, `notWritable`.
    public func complete(_ outcome: RunOutcome) throws(JournalError) {
        try write { database in
            try database.execute(
                sql: "UPDATE run SET completed = ?, outcome = ?",
                arguments: [Date().ISO8601Format(), try StoredJSON.encode(StoredOutcome(outcome))])
        }
        // A reader that looks on keeps the log in use; then it stays, which is as good.
        try? database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
    }

    /// How the run ended; `nil` while it has not.
    public func outcome() throws(JournalError) -> RunOutcome? {
        try read { database in
            guard let text = try String.fetchOne(database, sql: "SELECT outcome FROM run") else { return nil }
            return try StoredJSON.decode(StoredOutcome.self, from: text, column: "outcome", file: file)
                .outcome
        }
    }

    /// Whether the run is over.
    public var isComplete: Bool {
        get throws(JournalError) {
            try read { try Bool.fetchOne($0, sql: "SELECT completed IS NOT NULL FROM run") ?? false }
        }
    }
}

private struct StoredOutcome: Codable {
    let path: [StoredState]
    let seconds: Double
    let workers: Int

    init(_ outcome: RunOutcome) {
        path = outcome.path.map(StoredState.init)
        seconds = outcome.seconds
        workers = outcome.workers
    }

    var outcome: RunOutcome { RunOutcome(path: path.map(\.state), seconds: seconds, workers: workers) }
}
