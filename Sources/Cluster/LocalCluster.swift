public import Coordination
public import Foundation
public import Logging
public import Work

/// Where workers from other machines come to, and what they are given.
public struct RemoteAccess: Sendable {
    /// Where to listen: `tcp://HOST:PORT`, or `ipc://PATH`.
    public let endpoint: String
    /// Encrypts connections and lets in only known workers; `nil` for anybody.
    public let keys: CoordinatorKeys?
    /// Model and data, for those that see none of the coordinator's files.
    public let library: ContentLibrary
    /// Answers those who ask how far the run is, with a JSON object. Called on the coordinator's thread.
    public let status: @Sendable () -> Data

    /// Access for workers from other machines.
    public init(
        endpoint: String, keys: CoordinatorKeys?, library: ContentLibrary,
        status: @escaping @Sendable () -> Data
    ) {
        self.endpoint = endpoint
        self.keys = keys
        self.library = library
        self.status = status
    }
}

/// A coordinator with worker processes on this machine (`espalier prune --workers N`), with those that come from
/// elsewhere (`--bind`), or with both.
///
/// ```swift
/// let cluster = try LocalCluster(workers: 4, settings: settings, journal: journal)
/// defer { cluster.shutdown() }
/// let result = try await Search(problem, settings: search, runner: cluster.runner).run()
/// ```
public final class LocalCluster: Sendable {
    /// Has work done by the workers.
    public let runner: ClusterRunner
    private let workers: LocalWorkers?
    private let folder: PrivateFolder?

    /// Starts the workers; they load model and data while the caller goes on.
    ///
    /// - Parameters:
    ///   - workers: how many processes; with `remote` there may be none.
    ///   - executable: the program that has a `worker` command; this one unless given.
    ///   - settings: the run, and how workers are treated.
    ///   - remote: takes workers from other machines too.
    ///   - journal: keeps every result before it is acknowledged.
    ///   - paused: told with a sentence while the run waits for room on the disk, and with nothing once it goes on.
    ///   - progress: called on the coordinator's thread after results were folded; what it throws ends the work.
    /// - Throws: `ClusterError.folder`, `ClusterError.cannotStart`, `ClusterError.cannotListen`, `ZeroMQError`.
    public init(
        workers count: Int, executable: String? = nil, settings: CoordinatorSettings,
        remote: RemoteAccess? = nil,
        journal: (any WorkJournal & Sendable)? = nil, logger: Logger = Logger(label: "espalier.coordinator"),
        paused: @escaping @Sendable (String?) -> Void = { _ in },
        postMortem: (@Sendable ([String]) -> Void)? = nil,
        progress: @escaping @Sendable (any WorkSource) throws -> Void = { _ in }
    ) throws {
        let folder = remote == nil || count > 0 ? try PrivateFolder() : nil
        self.folder = folder
        let local = folder?.endpoint ?? ""
        if let remote {
            runner = try ClusterRunner(
                settings, endpoint: remote.endpoint, localEndpoint: folder?.endpoint, keys: remote.keys,
                isInsecure: remote.keys == nil, library: remote.library, journal: journal, logger: logger,
                status: remote.status, paused: paused, postMortem: postMortem, progress: progress)
        } else {
            var settings = settings
            // An answer travels for a fraction of a millisecond here; keeping a result takes the disk a few.
            settings.prefetchLimit = settings.prefetchLimit ?? .milliseconds(2)
            runner = try ClusterRunner(
                settings, endpoint: local, journal: journal, logger: logger, paused: paused,
                postMortem: postMortem, progress: progress)
        }
        workers =
            count == 0
            ? nil
            : try LocalWorkers(
                count: count, executable: executable, endpoint: local, runner: runner, logger: logger)
    }

    /// The worker processes on this machine that live, by number.
    public var processes: [Int32] { workers?.processes ?? [] }

    /// Sends the workers home, waits a moment for those on this machine, and ends those that do not go.
    public func shutdown() {
        workers?.expectEnd()
        runner.shutdown()
        workers?.stop()
    }

    deinit { shutdown() }
}
