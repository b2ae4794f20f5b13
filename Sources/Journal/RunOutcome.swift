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
            try RunRow.seal(database)
        }
        // A reader that looks on keeps the log in use; then it stays, which is as good.
        try? database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = DELETE") }
    }

    /// How the run ended; `nil` while it has not.
    ///
    /// - Throws: `damaged` when something else is on record.
    public func outcome<Outcome: Decodable>(as type: Outcome.Type) throws(JournalError) -> Outcome? {
        try read { database in
            guard let text: String = try RunRow.read(database, file: file).stored("outcome") else {
                return nil
            }
            return try StoredJSON.decode(type, from: text, column: "outcome", file: file)
        }
    }

    /// Whether the run is over.
    public var isComplete: Bool {
        get throws(JournalError) {
            try read { try RunRow.read($0, file: file).stored("completed", as: String.self) != nil }
        }
    }
}
