internal import Foundation
internal import GRDB

/// What can go wrong with a run's journal, as a sentence that names the file or folder.
public enum JournalError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A new run was to start in a folder that holds one.
    case alreadyHoldsRun(folder: String)
    /// A run was to be resumed or read in a folder that holds none.
    case noRun(folder: String)
    /// Another coordinator works on the run; `process` is its id where the lock file tells.
    case locked(folder: String, process: Int?)
    /// The run was made from something else, so its results do not belong to this one.
    case differentRun(folder: String, field: String, recorded: String, given: String)
    /// The run is of another version of Espalier, which nobody said may go on with it.
    case otherVersion(folder: String, recorded: String, own: String)
    /// The run's results were computed in other bits than this machine computes.
    case differentNumerics(folder: String, recorded: String, own: String)
    /// The file is a database, but of another program.
    case foreignFile(String)
    /// The file has a layout that this version does not know.
    case newerLayout(file: String, version: Int, supported: Int)
    /// The file has a layout of an earlier version.
    case olderLayout(file: String, version: Int)
    /// The disk has no room for another result.
    case diskFull(file: String)
    /// The folder or file cannot be written.
    case notWritable(path: String, reason: String)
    /// The folder or file cannot be read.
    case notReadable(path: String, reason: String)
    /// The file's contents contradict its format.
    case damaged(file: String, reason: String)
    /// A row is not as it was written.
    case damagedRow(file: String, table: String, id: Int64)
    /// Another process keeps the file busy.
    case busy(file: String)
    /// A finished stage was finished again with another outcome.
    case differentOutcome(file: String, stage: Int)
    /// What SQLite says, when it is none of the above.
    case failed(file: String, reason: String)

    /// What is told while a run waits for room on its journal's disk.
    public static func pauseNote(file: String) -> String {
        "\(file): disk full: paused; goes on when there is room"
    }

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .alreadyHoldsRun(let folder):
            "\(folder): the folder already holds a run; pass --resume to go on with it, or name another folder"
        case .noRun(let folder):
            "\(folder): the folder holds no run (there is no \(RunJournal.fileName) in it): put it back, or start a run"
        case .locked(let folder, let process):
            "\(folder): another coordinator is working on this run"
                + (process.map { " (process \($0))" } ?? "") + "; only one may write to it"
        case .differentRun(let folder, let field, let recorded, let given):
            "\(folder): the run cannot be resumed with another \(field): it was started with \(recorded), "
                + "and \(given) was given"
        case .otherVersion(let folder, let recorded, let own):
            "\(folder): the run is of Espalier \(recorded), and this is \(own): finish it with that version, start it anew in "
                + "another folder, or pass --allow-other-version"
        case .differentNumerics(let folder, let recorded, let own):
            "\(folder): results of the run were computed on a machine whose losses differ in the last bits from this "
                + "one's (\(recorded); this is \(own)): resume on a machine like that one, or pass "
                + "--allow-mixed-numerics"
        case .foreignFile(let file): "\(file): this is no journal of Espalier"
        case .newerLayout(let file, let version, let supported):
            "\(file): the journal has layout \(version), but this version of Espalier knows only up to \(supported)"
        case .olderLayout(let file, let version):
            "\(file): the journal is of an older version of Espalier (layout \(version)): finish the run with that "
                + "version, or start it anew in another folder"
        case .diskFull(let file): "\(file): the disk is full; make room and pass --resume to go on"
        case .notWritable(let path, let reason): "\(path): it cannot be written: \(reason)"
        case .notReadable(let path, let reason): "\(path): it cannot be read: \(reason)"
        case .damaged(let file, let reason):
            "\(file): the journal is damaged: \(reason): put back a copy of it, or start the run anew in another folder"
        case .damagedRow(let file, "results", let id):
            "\(file): row \(id) of the results is damaged: its checksum is wrong. Delete it with 'sqlite3 \(file) \"DELETE "
                + "FROM results WHERE id = \(id)\"'; --resume then computes this result again"
        case .damagedRow(let file, let table, let id):
            "\(file): row \(id) of the table '\(table)' is damaged: its checksum is wrong. Delete it with 'sqlite3 \(file) \"DELETE "
                + "FROM \(table) WHERE number = \(id)\"'; --resume then restores it from the results"
        case .busy(let file): "\(file): another process keeps the journal busy"
        case .differentOutcome(let file, let stage):
            "\(file): level \(stage) was finished before with other states, which must not happen for the same "
                + "model, data and settings"
        case .failed(let file, let reason): "\(file): the journal could not be used: \(reason)"
        }
    }
}

extension JournalError {
    /// The error of an access to `file`, in our terms.
    init(_ error: any Error, file: String) {
        switch error {
        case let error as JournalError: self = error
        case let error as DatabaseError: self.init(error, file: file)
        default: self = .failed(file: file, reason: "\(error)")
        }
    }

    private init(_ error: DatabaseError, file: String) {
        let reason = error.message ?? "SQLite error \(error.extendedResultCode.rawValue)"
        switch error.resultCode {
        case .SQLITE_FULL: self = .diskFull(file: file)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH: self = .notWritable(path: file, reason: reason)
        case .SQLITE_CANTOPEN: self = .notReadable(path: file, reason: reason)
        // The index of the log, which is mapped into memory, could not grow.
        case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_SHMSIZE:
            self = .diskFull(file: file)
        case .SQLITE_IOERR
        where [.SQLITE_IOERR_WRITE, .SQLITE_IOERR_FSYNC, .SQLITE_IOERR_TRUNCATE].contains(
            error.extendedResultCode) && DiskRoom.isMissing(beside: file):
            self = .diskFull(file: file)
        case .SQLITE_IOERR:
            // A file that ends within a page: what was there is gone.
            self =
                error.extendedResultCode == .SQLITE_IOERR_SHORT_READ
                ? .damaged(file: file, reason: "it ends too early")
                : .failed(file: file, reason: "\(reason) (code \(error.extendedResultCode.rawValue))")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT: self = .damaged(file: file, reason: reason)
        case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy(file: file)
        // Tables or columns that the layout promises are not there.
        case .SQLITE_ERROR, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH: self = .damaged(file: file, reason: reason)
        default: self = .failed(file: file, reason: reason)
        }
    }

    /// What the system says about an error number.
    static func message(_ code: Int32) -> String { String(cString: strerror(code)) }
}
