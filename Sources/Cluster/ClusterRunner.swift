public import Coordination
public import Foundation
public import Logging
public import Work
internal import Synchronization
public import ZeroMQ

/// Has a source's work done by worker processes: local ones over `ipc://`, or any that can reach a `tcp://` endpoint.
///
/// ```swift
/// let runner = try ClusterRunner(settings, endpoint: "ipc:///run/me/coordinator", journal: journal)
/// defer { runner.shutdown() }
/// let result = try await Search(problem, settings: search, runner: runner).run()
/// ```
public final class ClusterRunner: WorkRunner, Sendable {
    private let service: CoordinatorService
    private let library: ContentLibrary

    /// Listens for workers.
    ///
    /// - Parameters:
    ///   - settings: the run, and how workers are treated.
    ///   - endpoint: where workers connect: `ipc://PATH`, `inproc://NAME`, or `tcp://HOST:PORT` with keys.
    ///   - localEndpoint: where workers on this machine connect besides, without keys: `ipc://PATH` in a private folder.
    ///   - keys: encrypts connections and lets in only known workers.
    ///   - isInsecure: whether others may connect although there are no keys.
    ///   - library: what is given to workers that see none of the coordinator's files.
    ///   - journal: keeps every result before it is acknowledged. Called on the coordinator's thread.
    ///   - status: answers those who ask how far the run is, with a JSON object. Called on that thread.
    ///   - paused: told with a sentence, again from time to time, while the run waits for room on the disk, and with
    ///     nothing once it goes on. Called on that thread.
    ///   - postMortem: given the last events and actions, one a line, when the work ends with an error. Called on that thread.
    ///   - progress: called on that thread after results were folded; what it throws ends the work.
    /// - Throws: `ClusterError.cannotListen`, `ClusterError.keysMissing`.
    public init(
        _ settings: CoordinatorSettings, endpoint: String, localEndpoint: String? = nil,
        keys: CoordinatorKeys? = nil,
        isInsecure: Bool = false, library: ContentLibrary = ContentLibrary(), limits: WireLimits? = nil,
        context: Context? = nil,
        journal: (any WorkJournal & Sendable)? = nil, logger: Logger = Logger(label: "espalier.coordinator"),
        status: @escaping @Sendable () -> Data = { Data("{}".utf8) },
        paused: @escaping @Sendable (String?) -> Void = { _ in },
        postMortem: (@Sendable ([String]) -> Void)? = nil,
        progress: @escaping @Sendable (any WorkSource) throws -> Void = { _ in }
    ) throws {
        self.library = library
        do {
            service = try CoordinatorService(
                CoordinatorService.Configuration(
                    endpoint: endpoint, localEndpoint: localEndpoint, keys: keys, isInsecure: isInsecure,
                    library: library,
                    settings: settings,
                    limits: limits
                        ?? WireLimits(settings.run.sharding, resultBytes: settings.resultBytes),
                    context: context, journal: journal, progress: progress, status: status,
                    paused: paused, postMortem: postMortem, logger: logger))
        } catch let error as ZeroMQError { throw ClusterError.cannotListen("\(error)") }
    }

    deinit { shutdown() }

    /// Where workers connect, with the port that the system chose.
    public var endpoint: String { service.snapshot.withLock { $0.endpoint } }

    /// The workers that are connected.
    public var workers: [WorkerStatus] { service.snapshot.withLock { $0.workers } }

    /// How many workers were ready to compute at some time.
    public var workerCount: Int { service.snapshot.withLock { $0.readyWorkers.count } }

    /// - Throws: `CoordinationError` for what stops a run; `ClusterError.interrupted`; what the journal or
    ///   `progress` throws.
    public func run<Source: WorkSource>(_ source: Source) async throws -> Source {
        let complete = try await withTaskCancellationHandler {
            try Task.checkCancellation()
            return try await withCheckedThrowingContinuation { continuation in
                let isTaken = service.mailbox.post(.begin(source, continuation))
                if !isTaken { continuation.resume(throwing: ClusterError.shutDown) }
            }
        } onCancel: {
            interrupt()
        }
        guard let complete = complete as? Source else { throw ClusterError.busy }
        return complete
    }

    /// Gives workers a content that items need which name it.
    public func provide(_ content: [UInt8]) async throws -> ContentID { library.add(content) }

    /// Keeps the content from workers that ask for it from now on.
    public func withdraw(_ content: ContentID) async { library.remove(content) }

    /// Makes `run` throw `ClusterError.interrupted`, after the results that have arrived are kept. From any
    /// thread; while nothing is run the next `run` throws.
    public func interrupt() { service.mailbox.post(.interrupt) }

    /// Makes `run` throw `error`, e.g. because workers cannot be started any more.
    public func fail(_ error: any Error) { service.mailbox.post(.fail(error)) }

    /// A process on this machine has ended: its tasks go to others at once.
    public func processEnded(_ process: Int32) { service.mailbox.post(.processEnded(process)) }

    /// Whether a worker of that process number was ever ready to compute.
    func wasReady(_ process: Int32) -> Bool {
        service.snapshot.withLock { $0.readyProcesses.contains(process) }
    }

    /// Sends workers home and stops listening; waits a moment, so that they hear it. May be called again.
    public func shutdown() { service.stop(reason: "the run is over") }
}
