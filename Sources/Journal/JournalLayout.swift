internal import CSodium
internal import Foundation
internal import GRDB
internal import Work

/// The layout of `journal.sqlite`.
///
/// - `run`: one row, what the run is made from, the folder where it was started and, once it is over, its outcome (JSON).
/// - `stages`: one row per stage that is over: what it came to (`outcome`) and what it took (`notes`), both JSON of whoever
///   runs the stage.
/// - `results`: what workers computed: kind and payload say what was asked for, `result` is the answer.
/// - `numerics`: how the machines compute that the results come from: one row for every kind of coordinator, and one for
///   every machine of a worker that was let in although it computes other bits. Whoever resumes the run compares all rows
///   with its own bits.
///
/// Every row carries a checksum over all its columns, so that a bit that turned on the disk is found before it decides
/// anything. An empty outcome marks a stage that was reopened: its notes still tell what was done.
enum JournalLayout {
    /// Marks the file as ours: "Espa" in ASCII, in SQLite's `application_id`.
    static let application: Int32 = 0x4573_7061
    /// The version of the layout, in SQLite's `user_version`. Layout 1 had blocks for every state, layout 2 a row for every
    /// expansion, without checksums; layout 3 had neither checksums of `run` and `numerics` nor a folder.
    static let version = 4
    /// The oldest layout that is taken on to this one.
    static let oldest = 3

    /// Makes the tables, and will take a journal of this layout on to later ones.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("layout 3") { database in
            try database.execute(
                sql: """
                    CREATE TABLE run (
                        id INTEGER PRIMARY KEY CHECK (id = 1),
                        created TEXT NOT NULL,
                        version TEXT NOT NULL,
                        model_path TEXT NOT NULL,
                        model_sha256 TEXT NOT NULL,
                        data_path TEXT NOT NULL,
                        data_sha256 TEXT NOT NULL,
                        settings TEXT NOT NULL,
                        command_line TEXT NOT NULL,
                        completed TEXT,
                        outcome TEXT
                    ) STRICT;
                    CREATE TABLE stages (
                        number INTEGER PRIMARY KEY,
                        outcome TEXT NOT NULL,
                        notes TEXT NOT NULL,
                        checksum BLOB NOT NULL
                    ) STRICT;
                    CREATE TABLE results (
                        id INTEGER PRIMARY KEY,
                        stage INTEGER NOT NULL,
                        kind TEXT NOT NULL,
                        payload BLOB NOT NULL,
                        result BLOB NOT NULL,
                        checksum BLOB NOT NULL
                    ) STRICT;
                    CREATE INDEX results_of_stage ON results (stage);
                    CREATE TABLE numerics (
                        id INTEGER PRIMARY KEY,
                        digest BLOB NOT NULL,
                        machine TEXT NOT NULL
                    ) STRICT;
                    """)
        }
        migrator.registerMigration("layout 4") { database in
            try database.execute(
                sql: """
                    ALTER TABLE run ADD COLUMN directory TEXT;
                    ALTER TABLE run ADD COLUMN checksum BLOB;
                    ALTER TABLE numerics ADD COLUMN checksum BLOB;
                    PRAGMA user_version = 4;
                    """)
            try RunRow.seal(database)
            for row in try Row.fetchAll(database, sql: "SELECT id, digest, machine FROM numerics") {
                guard let digest: Data = row.stored("digest"), let machine: String = row.stored("machine")
                else {
                    continue
                }
                try database.execute(
                    sql: "UPDATE numerics SET checksum = ? WHERE id = ?",
                    arguments: [RowChecksum.of(digest: digest, machine: machine), row["id"] as Int64])
            }
        }
        return migrator
    }

    /// Takes a journal of an older layout that is known on to this one.
    static func migrate(_ database: DatabaseQueue) throws { try migrator.migrate(database) }

    /// Makes the tables of an empty database.
    static func create(_ database: DatabaseQueue) throws {
        try database.write {
            try $0.execute(sql: "PRAGMA application_id = \(application); PRAGMA user_version = \(oldest)")
        }
        try migrator.migrate(database)
    }

    /// Checks that a database is a journal of a layout that is known.
    static func check(_ database: Database, file: String) throws {
        guard try Int32.fetchOne(database, sql: "PRAGMA application_id") == application else {
            throw JournalError.foreignFile(file)
        }
        let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let isSuperseded = try found >= version && migrator.hasBeenSuperseded(database)
        guard found <= version, !isSuperseded else {
            throw JournalError.newerLayout(file: file, version: found, supported: version)
        }
        guard found >= oldest else { throw JournalError.olderLayout(file: file, version: found) }
    }

    /// Looks through the whole file for damage.
    static func checkIntegrity(_ database: Database, file: String) throws {
        let findings = try String.fetchAll(database, sql: "PRAGMA quick_check(1)")
        if let first = findings.first, first != "ok" { throw JournalError.damaged(file: file, reason: first) }
    }
}

/// The checksum of a row: BLAKE2b of its columns, each with its length before it, 16 bytes.
struct RowChecksum {
    private var bytes = Data()
    private static let size = 16

    mutating func add(_ number: Int) {
        withUnsafeBytes(of: Int64(number).littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func add(_ text: String) { add(Data(text.utf8)) }

    mutating func add(_ column: Data) {
        add(column.count)
        bytes.append(column)
    }

    func finish() -> Data {
        var sum = [UInt8](repeating: 0, count: RowChecksum.size)
        bytes.withUnsafeBytes {
            _ = crypto_generichash(
                &sum, sum.count, $0.bindMemory(to: UInt8.self).baseAddress, UInt64($0.count), nil, 0)
        }
        return Data(sum)
    }

    /// Of a row of `results`.
    static func of(_ key: WorkKey, payload: Data, result: Data) -> Data {
        var checksum = RowChecksum()
        checksum.add(key.stage)
        checksum.add(key.kind.description)
        checksum.add(payload)
        checksum.add(result)
        return checksum.finish()
    }

    /// Of a row of `numerics`.
    static func of(digest: Data, machine: String) -> Data {
        var checksum = RowChecksum()
        checksum.add(digest)
        checksum.add(machine)
        return checksum.finish()
    }

    /// Of a row of `stages`.
    static func of(stage: Int, outcome: String, notes: String) -> Data {
        var checksum = RowChecksum()
        checksum.add(stage)
        checksum.add(outcome)
        checksum.add(notes)
        return checksum.finish()
    }
}
