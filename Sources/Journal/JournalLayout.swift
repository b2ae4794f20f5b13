internal import GRDB

/// The layout of `journal.sqlite`.
///
/// - `run`: one row, what the run is made from and, once it is over, its outcome.
/// - `levels`: one row per level that was begun; `states` and `work` (JSON) once it is finished.
/// - `results`: the scores of one expansion (`edge` NULL: the state itself) on one block. `losses` are float32 and
///   `correct` uint32, both little-endian, one per sample of the block in its order.
/// - `dropped`: expansions that were given up, with the bound that proved them hopeless.
/// - `numerics`: how the machines compute that the results come from: one row for every kind of coordinator, and one for
///   every machine of a worker that was let in although it computes other bits. Whoever resumes the run compares all rows
///   with its own bits. A journal that has no such table is taken as it is.
///
/// In layout 1 every state had blocks of its own; its results mean nothing to a search whose blocks stay.
enum JournalLayout {
    /// Marks the file as ours: "Espa" in ASCII, in SQLite's `application_id`.
    static let application: Int32 = 0x4573_7061
    /// The version of the layout, in SQLite's `user_version`.
    static let version = 2

    /// Makes the tables of an empty database.
    static func create(_ database: Database) throws {
        try database.execute(sql: "PRAGMA application_id = \(application); PRAGMA user_version = \(version)")
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
                CREATE TABLE levels (
                    number INTEGER PRIMARY KEY,
                    states TEXT,
                    work TEXT
                ) STRICT;
                CREATE TABLE results (
                    id INTEGER PRIMARY KEY,
                    level INTEGER NOT NULL REFERENCES levels (number),
                    state TEXT NOT NULL,
                    edge TEXT,
                    shard INTEGER NOT NULL,
                    block INTEGER NOT NULL,
                    losses BLOB NOT NULL,
                    correct BLOB
                ) STRICT;
                CREATE UNIQUE INDEX one_result ON results (level, state, ifnull(edge, ''), shard, block);
                CREATE TABLE dropped (
                    level INTEGER NOT NULL REFERENCES levels (number),
                    mask TEXT NOT NULL,
                    bound REAL NOT NULL,
                    PRIMARY KEY (level, mask)
                ) STRICT, WITHOUT ROWID;
                """)
    }

    static let numericsTable = "numerics"

    /// Makes the table of numerics unless it is there.
    static func createNumerics(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE IF NOT EXISTS \(numericsTable) (
                    id INTEGER PRIMARY KEY,
                    digest BLOB NOT NULL,
                    machine TEXT NOT NULL
                ) STRICT
                """)
    }

    /// Checks that a database is a journal of a layout that is known.
    static func check(_ database: Database, file: String) throws {
        guard try Int32.fetchOne(database, sql: "PRAGMA application_id") == application else {
            throw JournalError.foreignFile(file)
        }
        let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        guard found <= version else {
            throw JournalError.newerLayout(file: file, version: found, supported: version)
        }
        guard found == version else {
            throw JournalError.damaged(file: file, reason: "it has layout \(found), of an earlier Espalier")
        }
    }

    /// Looks through the whole file for damage.
    static func checkIntegrity(_ database: Database, file: String) throws {
        let findings = try String.fetchAll(database, sql: "PRAGMA quick_check(1)")
        if let first = findings.first, first != "ok" { throw JournalError.damaged(file: file, reason: first) }
    }
}
