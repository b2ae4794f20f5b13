public import Coordination
public import Logging
public import Search

/// A coordinator with worker processes on this machine: `espalier prune --workers N`.
///
/// ```swift
/// let cluster = try LocalCluster(workers: 4, settings: settings, journal: journal)
/// defer { cluster.shutdown() }
/// let result = try await Search(problem, settings: search, evaluator: cluster.evaluator).run()
/// ```
public final class LocalCluster: Sendable {
    /// Runs levels on the workers.
    public let evaluator: ClusterEvaluator
    private let workers: LocalWorkers
    private let folder: PrivateFolder

    /// Starts the workers; they load model and data while the caller goes on.
    ///
    /// - Parameters:
    ///   - workers: how many processes.
    ///   - executable: the program that has a `worker` command; this one unless given.
    ///   - settings: the run, and how workers are treated.
    ///   - journal: keeps every result before it is acknowledged.
    ///   - paused: told with a sentence while the run waits for room on the disk, and with nothing once it goes on.
    ///   - progress: called on the coordinator's thread after results were folded; what it throws ends the level.
    /// - Throws: `ClusterError.folder`, `ClusterError.cannotStart`, `ZeroMQError`.
    public init(
        workers count: Int, executable: String? = nil, settings: CoordinatorSettings,
        journal: (any LevelJournal & Sendable)? = nil, logger: Logger = Logger(label: "espalier.coordinator"),
        paused: @escaping @Sendable (String?) -> Void = { _ in },
        progress: @escaping @Sendable (LevelRace) throws -> Void = { _ in }
    ) throws {
        folder = try PrivateFolder()
        var settings = settings
        // An answer travels for a fraction of a millisecond here; keeping a result takes the disk a few.
        settings.prefetchLimit = settings.prefetchLimit ?? .milliseconds(2)
        evaluator = try ClusterEvaluator(
            settings, endpoint: folder.endpoint, journal: journal, logger: logger, paused: paused,
            progress: progress)
        workers = try LocalWorkers(
            count: count, executable: executable, endpoint: folder.endpoint, evaluator: evaluator,
            logger: logger)
    }

    /// The worker processes that live, by number.
    public var processes: [Int32] { workers.processes }

    /// Sends the workers home, waits a moment for them, and ends those that do not go.
    public func shutdown() {
        evaluator.shutdown()
        workers.stop()
    }

    deinit { shutdown() }
}
