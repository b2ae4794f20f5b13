internal import Files
internal import Foundation
internal import GRDB

extension RunJournal {
    /// Starts the journal of a new run. The folder is made if need be.
    ///
    /// The file appears complete or not at all, so a crash here leaves a folder that holds no run.
    ///
    /// - Throws: `alreadyHoldsRun`, `locked`, `notWritable` or `diskFull`.
    public static func create(in folder: String, identity: RunIdentity) throws(JournalError) -> RunJournal {
        try create(in: folder, identity: identity, maximumPages: nil)
    }

    /// - Parameter maximumPages: the most pages of 4,096 bytes that the file may have, to see a disk fill up.
    static func create(
        in folder: String, identity: RunIdentity, maximumPages: Int?
    ) throws(JournalError) -> RunJournal {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            guard !FileError.saysDiskFull(code(of: error) ?? 0) else { throw .diskFull(file: folder) }
            throw .notWritable(
                path: folder, reason: code(of: error).map(JournalError.message) ?? error.localizedDescription)
        }
        let lock = try FolderLock(folder: folder)
        let file = file(in: folder)
        guard !FileManager.default.fileExists(atPath: file) else { throw .alreadyHoldsRun(folder: folder) }
        let draft = file + ".new"
        // Left behind by a crash; a log without its database must not be taken for the new one's.
        for path in [draft, draft + "-journal", file + "-wal", file + "-shm"] { unlink(path) }
        do {
            let queue = try connect(draft)
            try JournalLayout.create(queue)
            try queue.write { try identity.insert(into: $0) }
            try queue.close()
        } catch {
            unlink(draft)
            throw JournalError(error, file: file)
        }
        guard rename(draft, file) == 0 else {
            guard !FileError.saysDiskFull(errno) else { throw .diskFull(file: file) }
            throw .notWritable(path: file, reason: JournalError.message(errno))
        }
        return try open(folder, lock: lock, maximumPages: maximumPages)
    }

    /// Goes on with a run that was stopped, however it was stopped.
    ///
    /// Settings that only end the run elsewhere take the place of those on record; a finished run is open again then.
    ///
    /// - Parameters:
    ///   - folder: the run's folder.
    ///   - identity: what the run is to be made from now.
    ///   - allowsOtherVersion: whether the run may be of another version of Espalier.
    ///   - compare: what the second settings are to the first, those on record; value by value unless told.
    /// - Throws: `noRun`, `locked`, `differentRun` when model, data or settings are not those of the run, `otherVersion`,
    ///   `damaged`, `foreignFile`, `olderLayout` or `newerLayout`.
    public static func resume(
        in folder: String, identity: RunIdentity, allowsOtherVersion: Bool = false,
        comparing compare: (String, String) -> SettingsComparison = { SettingsComparison($0, $1) }
    ) throws(JournalError) -> RunJournal {
        guard FileManager.default.fileExists(atPath: file(in: folder)) else { throw .noRun(folder: folder) }
        let journal = try open(folder, lock: try FolderLock(folder: folder), maximumPages: nil)
        let recorded = journal.identity
        if let difference = recorded.otherFile(in: identity) {
            throw .differentRun(
                folder: folder, field: difference.field, recorded: difference.own, given: difference.other)
        }
        guard allowsOtherVersion || recorded.version == identity.version else {
            throw .otherVersion(folder: folder, recorded: recorded.version, own: identity.version)
        }
        switch compare(recorded.settings, identity.settings) {
        case .same: break
        case .ending(let reopens): try journal.change(to: identity, reopening: reopens)
        case .other(let field, let recorded, let given):
            throw .differentRun(folder: folder, field: field, recorded: recorded, given: given)
        }
        return journal
    }

    /// Puts settings, and the command line that gave them, in the place of those on record.
    private func change(to identity: RunIdentity, reopening: Bool) throws(JournalError) {
        try write { database in
            try database.execute(
                sql: """
                    UPDATE run SET settings = ?, command_line = ?, directory = ?, completed = NULL, outcome = NULL
                    """,
                arguments: [
                    identity.settings, try StoredJSON.encode(identity.commandLine), identity.directory,
                ])
            try RunRow.seal(database)
            if reopening { try reopenStages(database) }
        }
    }

    /// Opens a run's journal to read it, also while a coordinator writes to it.
    ///
    /// - Throws: `noRun`, `damaged`, `foreignFile`, `olderLayout`, `newerLayout`, or `notReadable`, e.g. for an unfinished run in a
    ///   folder that cannot be written.
    public static func open(readOnlyIn folder: String) throws(JournalError) -> RunJournal {
        let file = file(in: folder)
        guard FileManager.default.fileExists(atPath: file) else { throw .noRun(folder: folder) }
        do {
            let queue = try connect(file, readOnly: true)
            try queue.read { try JournalLayout.check($0, file: file) }
            return try RunJournal(folder: folder, database: queue, lock: nil)
        } catch {
            throw JournalError(error, file: file)
        }
    }

    private static func open(
        _ folder: String, lock: FolderLock, maximumPages: Int?
    ) throws(JournalError) -> RunJournal {
        let file = file(in: folder)
        do {
            let queue = try connect(file)
            try queue.writeWithoutTransaction { database in
                try JournalLayout.check(database, file: file)
                try JournalLayout.checkIntegrity(database, file: file)
            }
            try JournalLayout.migrate(queue)
            try queue.writeWithoutTransaction { database in
                let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
                guard mode == "wal" else {
                    throw JournalError.failed(
                        file: file, reason: "the file system has no shared memory for its log")
                }
                if let maximumPages { try database.execute(sql: "PRAGMA max_page_count = \(maximumPages)") }
            }
            return try RunJournal(folder: folder, database: queue, lock: lock)
        } catch {
            throw JournalError(error, file: file)
        }
    }

    private static func connect(_ file: String, readOnly: Bool = false) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = readOnly
        configuration.foreignKeysEnabled = true
        configuration.label = "journal"
        // A reader and the writer may meet; each holds the file for moments only.
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA synchronous = FULL")
        }
        return try DatabaseQueue(path: file, configuration: configuration)
    }

    /// The system's error number.
    private static func code(of error: any Error) -> Int32? {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        let system = underlying ?? error as NSError
        return system.domain == NSPOSIXErrorDomain ? Int32(system.code) : nil
    }
}

extension RunJournal {
    /// Whether a folder holds a run.
    public static func exists(in folder: String) -> Bool {
        FileManager.default.fileExists(atPath: folder + "/" + fileName)
    }
}

extension RunJournal {
    /// Takes away a run that has no results yet, since it could not start: what it left is removed, and its folder where nothing
    /// else is in it.
    ///
    /// - Parameter others: names of other files in the folder that belong to the run.
    public func abandonWithoutResults(_ others: [String] = []) {
        let count = try? read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM results") }
        guard count == 0, (try? database.close()) != nil else { return }
        for name in [
            RunJournal.fileName, RunJournal.fileName + "-wal", RunJournal.fileName + "-shm",
            FolderLock.fileName,
        ] + others {
            unlink(folder + "/" + name)
        }
        // Only where it is empty.
        rmdir(folder)
    }
}
