public import Foundation
internal import GRDB
public import Work

/// The journal of a run: every folded result, in one SQLite file in the run's folder.
///
/// A result counts as kept once the call that records it has returned: it is then on the disk (write-ahead log,
/// `synchronous = FULL`) and survives a crash of the process or of the machine. A log that was cut off loses only
/// what had not been acknowledged. One coordinator at a time writes to a run; any number of readers may look on.
///
/// ```swift
/// let journal = try RunJournal.create(in: "runs/resnet20", identity: identity)
/// let runner = LocalRunner(journal: journal) { item in try computation.result(of: item) }
/// ```
public final class RunJournal: WorkJournal, Sendable {
    /// The name of the database in a run's folder.
    public static let fileName = "journal.sqlite"

    /// The run's folder.
    public let folder: String
    /// What the run was made from when it was opened.
    public let identity: RunIdentity
    /// When the run was created.
    public let created: Date

    /// One connection, which serialises all access.
    let database: DatabaseQueue
    /// Held by the one that may write; `nil` for readers.
    private let lock: FolderLock?

    /// The database's path.
    var file: String { RunJournal.file(in: folder) }

    static func file(in folder: String) -> String { folder + "/" + fileName }

    init(folder: String, database: DatabaseQueue, lock: FolderLock?) throws {
        self.folder = folder
        self.database = database
        self.lock = lock
        let file = RunJournal.file(in: folder)
        (identity, created) = try database.read { try RunIdentity.read($0, file: file) }
    }

    func read<Value>(_ body: (Database) throws -> Value) throws(JournalError) -> Value {
        do { return try database.read(body) } catch { throw JournalError(error, file: file) }
    }

    /// Runs `body` in one transaction: all of it is kept, or nothing.
    func write<Value>(_ body: (Database) throws -> Value) throws(JournalError) -> Value {
        guard lock != nil else { throw .notWritable(path: file, reason: "it was opened to be read") }
        do { return try database.write(body) } catch { throw JournalError(error, file: file) }
    }
}

extension RunIdentity {
    /// Adds the run's row.
    func insert(into database: Database) throws {
        try database.execute(
            sql: """
                INSERT INTO run (id, created, version, model_path, model_sha256, data_path, data_sha256, settings,
                    command_line, directory) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                Date().ISO8601Format(), version, modelPath, modelSHA256, dataPath, dataSHA256, settings,
                try StoredJSON.encode(commandLine), directory,
            ])
        try RunRow.seal(database)
    }

    /// Reads the run's row.
    static func read(_ database: Database, file: String) throws -> (RunIdentity, created: Date) {
        let row = try RunRow.read(database, file: file)
        func text(_ column: String) throws -> String { try row.required(column, file: file) }
        guard let created = try? Date(try text("created"), strategy: .iso8601) else {
            throw JournalError.damaged(file: file, reason: "the column 'created' holds no date")
        }
        let identity = RunIdentity(
            modelPath: try text("model_path"), modelSHA256: try text("model_sha256"),
            dataPath: try text("data_path"), dataSHA256: try text("data_sha256"),
            settings: try text("settings"),
            version: try text("version"),
            commandLine: try StoredJSON.decode(
                [String].self, from: try text("command_line"), column: "command_line", file: file),
            directory: row.stored("directory"))
        return (identity, created)
    }
}
