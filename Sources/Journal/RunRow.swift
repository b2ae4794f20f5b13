internal import Foundation
internal import GRDB

/// The row of the table `run`: what the run is made from, and how it ended.
enum RunRow {
    /// All columns but the checksum, in the order in which it covers them.
    private static let columns = [
        "created", "version", "model_path", "model_sha256", "data_path", "data_sha256", "settings",
        "command_line", "completed", "outcome", "directory",
    ]

    /// Reads the row.
    ///
    /// - Throws: `damaged` where there is none, or where it is not as it was written.
    static func read(_ database: Database, file: String) throws -> Row {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM run") else {
            throw JournalError.damaged(file: file, reason: "the table 'run' is empty")
        }
        // A journal of layout 3 that is only looked at has no checksum here.
        guard row.hasColumn("checksum") else { return row }
        guard try row.required("checksum", file: file, as: Data.self) == checksum(of: row) else {
            throw JournalError.damaged(file: file, reason: "the checksum of the table 'run' is wrong")
        }
        return row
    }

    /// Writes the checksum of the row as it is now.
    static func seal(_ database: Database) throws {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM run") else { return }
        try database.execute(sql: "UPDATE run SET checksum = ?", arguments: [checksum(of: row)])
    }

    private static func checksum(of row: Row) -> Data {
        var checksum = RowChecksum()
        for column in columns {
            let text: String? = row.stored(column)
            checksum.add(text == nil ? 0 : 1)
            checksum.add(text ?? "")
        }
        return checksum.finish()
    }
}
