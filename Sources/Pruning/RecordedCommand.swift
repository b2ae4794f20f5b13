internal import Journal

/// The command line that a run was started with.
public struct RecordedCommand: Sendable {
    /// The arguments without the program, the command first.
    public let arguments: [String]
    /// The folder in which they were typed; `nil` where that was not kept.
    public let directory: String?

    /// The folder from which relative paths count now.
    public static var currentDirectory: String { RunIdentity.currentDirectory }

    /// Reads it from a run's folder.
    ///
    /// - Throws: `JournalError` for a folder that holds no run.
    public init(run folder: String) throws {
        let identity = try RunJournal.open(readOnlyIn: folder).identity
        arguments = Array(identity.commandLine.dropFirst())
        directory = identity.directory
    }
}
