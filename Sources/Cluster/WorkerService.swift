public import Coordination
internal import Dispatch
internal import Foundation
internal import Glibc
public import Logging
internal import Synchronization
public import Work
public import ZeroMQ

/// What `espalier worker` runs: one thread talks to the coordinator and never computes, the calling thread computes
/// and never talks.
///
/// ```swift
/// let service = try WorkerService(endpoint: "ipc:///run/me/coordinator", softwareVersion: "0.1.0")
/// let ending = service.run { try EngineComputation($0, contents: $1) }
/// exit(ending.exitStatus)
/// ```
public final class WorkerService: Sendable {
    enum Note: Sendable {
        case event(WorkerEvent)
        case terminate
    }

    /// What the computing thread is to do next.
    enum Job: Sendable {
        case load(RunDescription)
        case compute(WorkOrder)
        case hold([ShardContent])
        /// A shard's file is there, or cannot be had.
        case adopt(ShardContent, Result<String, any Error>, load: Int)
        case end(WorkerEnding)
    }

    private let endpoint: String
    private let keys: WorkerKeys?
    private let settings: WorkerSettings
    private let limits: WireLimits
    private let context: Context?
    private let logger: Logger
    private let mailbox: Mailbox<Note>
    private let jobs = JobQueue()
    private let fetcher: ContentFetcher

    /// A worker that has not begun yet.
    ///
    /// - Parameters:
    ///   - endpoint: the coordinator's: `ipc://PATH`, `inproc://NAME`, or `tcp://HOST:PORT` with keys.
    ///   - cache: where contents are kept that the coordinator gives.
    ///   - softwareVersion: the program's version, which has to be the coordinator's too.
    /// - Throws: `ClusterError.keysMissing`; `ZeroMQError` when the system has no resources left.
    public init(
        endpoint: String, keys: WorkerKeys? = nil, isInsecure: Bool = false,
        cache: ContentCache = ContentCache(folder: ContentCache.defaultFolder), softwareVersion: String,
        engine: String = "", memory: Int? = nil, limits: WireLimits = .ofWorkers,
        context: Context? = nil, logger: Logger = Logger(label: "espalier.worker"),
        configure: (inout WorkerSettings) -> Void = { _ in }
    ) throws {
        try Transport.check(endpoint, hasKeys: keys != nil || isInsecure)
        self.endpoint = endpoint
        self.keys = keys
        self.limits = limits
        self.context = context
        self.logger = logger
        var settings = WorkerSettings(
            hello: Hello(
                softwareVersion: softwareVersion, identity: .random(), host: Machine.hostName,
                process: getpid(),
                processor: Machine.processorName, engine: engine, memory: memory))
        configure(&settings)
        self.settings = settings
        let mailbox = try Mailbox<Note>()
        self.mailbox = mailbox
        fetcher = ContentFetcher(
            cache: cache, logger: logger, troubled: { mailbox.post(.event(.troubled($0))) }
        ) { mailbox.post(.event(.request($0))) }
    }

    /// Asks the worker to end: it gives its tasks back and says goodbye. From any thread.
    public func terminate() { mailbox.post(.terminate) }

    /// Works until the run is over.
    ///
    /// - Parameters:
    ///   - whenOver: called on the talking thread as soon as the work is over, while a computation may still be in
    ///     progress; a process that has nothing else to do ends itself here.
    ///   - loading: loads a run's model and data; on the calling thread, as is everything that it returns.
    /// - Returns: why the work ended, once the computation in progress is done.
    public func run(
        whenOver: @escaping @Sendable (WorkerEnding) -> Void = { _ in },
        loading: (RunDescription, ContentFetcher) throws -> any Computation
    ) -> WorkerEnding {
        let ended = DispatchSemaphore(value: 0)
        let thread = Thread { [self] in
            let ending = WorkerLoop(
                endpoint: endpoint, keys: keys, settings: settings, wire: Wire(limits: limits),
                context: context,
                logger: logger, mailbox: mailbox, jobs: jobs, fetcher: fetcher
            ).run()
            fetcher.close()
            whenOver(ending)
            jobs.add(.end(ending))
            ended.signal()
        }
        thread.name = "espalier-worker"
        thread.start()
        var loaded = LoadedRun(fetcher: fetcher, jobs: jobs) { [mailbox] in mailbox.post(.event($0)) }
        while true {
            switch jobs.next() {
            case .end(let ending):
                ended.wait()
                return ending
            case .load(let run): loaded.replace(by: run) { try loading(run, fetcher) }
            case .compute(let order): loaded.compute(order)
            case .hold(let shards): loaded.hold(shards)
            case .adopt(let shard, let file, let load): loaded.adopt(shard, file, askedBy: load)
            }
        }
    }
}

/// Hands jobs to the computing thread, which has nothing to do but wait for them.
final class JobQueue: Sendable {
    private let jobs = Mutex<[WorkerService.Job]>([])
    private let count = DispatchSemaphore(value: 0)

    func add(_ job: WorkerService.Job) {
        jobs.withLock { $0.append(job) }
        count.signal()
    }

    /// The next job; waits for it.
    func next() -> WorkerService.Job {
        count.wait()
        return jobs.withLock { $0.removeFirst() }
    }
}
