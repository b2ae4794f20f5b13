internal import Foundation
internal import GRDB

extension RunJournal {
    /// Notes that the run is over. The journal is then one file that can be read anywhere, e.g. in a read-only
    /// folder.
    ///
    /// - Throws: `diskFull`, `notWritable`.
    public func complete(_ outcome: some Encodable) throws(JournalError) {
        try write { database in
            try database.execute(
                sql: "UPDATE run SET completed = ?, outcome = ?",
                arguments: [Date().ISO8601Format(), try StoredJSON.encode(outcome)])
        }
        // A reader that looks on keeps the log in use; then it stays, which is as good.
        try? database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
    }

    /// How the run ended; `nil` while it has not.
    ///
    /// - Throws: `damaged` when something else is on record.
    public func outcome<Outcome: Decodable>(as type: Outcome.Type) throws(JournalError) -> Outcome? {
        try read { database in
            guard let text = try String.fetchOne(database, sql: "SELECT outcome FROM run") else { return nil }
            return try StoredJSON.decode(type, from: text, column: "outcome", file: file)
        }
    }

    /// Whether the run is over.
    public var isComplete: Bool {
        get throws(JournalError) {
            try read { try Bool.fetchOne($0, sql: "SELECT completed IS NOT NULL FROM run") ?? false }
        }
    }
}
