public import Coordination
internal import Dispatch
internal import Foundation
internal import Glibc
public import Logging
internal import Synchronization
public import ZeroMQ

/// What `espalier worker` runs: one thread talks to the coordinator and never computes, the calling thread computes
/// and never talks.
///
/// ```swift
/// let service = try WorkerService(endpoint: "ipc:///run/me/coordinator", softwareVersion: "0.1.0")
/// let ending = service.run { try EngineComputation($0) }
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
        case compute(Assignment)
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
        engine: String = "", memory: Int? = nil, limits: WireLimits = WireLimits(),
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
        fetcher = ContentFetcher(cache: cache, logger: logger) { mailbox.post(.event(.request($0))) }
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
        loading: (RunDescription, ContentFetcher) throws -> any WorkerComputation
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
        var computation: (any WorkerComputation)?
        var run: RunDescription?
        /// The shards that are to be held, and those of them that are on their way.
        var wanted: Set<ShardContent> = []
        var coming: Set<ShardContent> = []
        /// Counts the runs that were loaded: what an earlier one had asked for does not matter.
        var load = 0
        while true {
            switch jobs.next() {
            case .end(let ending):
                ended.wait()
                return ending
            case .load(let next):
                // The old one goes first: two may not fit into memory.
                computation = nil
                fetcher.releaseAll()
                run = next
                load += 1
                (wanted, coming) = ([], [])
                do {
                    let loaded = try loading(next, fetcher)
                    computation = loaded
                    mailbox.post(.event(.loaded(next, shards: loaded.shards, proof: loaded.proof)))
                } catch { mailbox.post(.event(.loadFailed(next, reason: "\(error)"))) }
            case .compute(let assignment): mailbox.post(.event(compute(assignment, computation)))
            case .hold(let shards):
                for old in wanted.subtracting(shards) { fetcher.release(old.content) }
                wanted = Set(shards)
                let numbers = Set(shards.map(\.shard))
                for shard in computation?.shards ?? [] where !numbers.contains(shard) {
                    computation?.drop(shard)
                }
                let held = Set(computation?.shards ?? [])
                for shard in shards where !held.contains(shard.shard) && coming.insert(shard).inserted {
                    fetcher.fetch(shard.content) { [jobs, load] in
                        jobs.add(.adopt(shard, $0, load: load))
                    }
                }
                mailbox.post(.event(.holds(held.sorted())))
            case .adopt(let shard, let result, let origin):
                guard origin == load, coming.remove(shard) != nil, wanted.contains(shard), let run else {
                    continue
                }
                do {
                    try computation?.hold(shard.shard, contentsOf: result.get())
                    mailbox.post(.event(.holds(computation?.shards ?? [])))
                } catch { mailbox.post(.event(.loadFailed(run, reason: "\(error)"))) }
            }
        }
    }

    private func compute(_ assignment: Assignment, _ computation: (any WorkerComputation)?) -> WorkerEvent {
        guard let computation else {
            return .computeFailed(assignment.id, reason: "nothing is loaded", isPermanent: false)
        }
        let start = ContinuousClock.now
        do {
            let scores = try computation.scores(of: assignment)
            return .computed(assignment.id, scores: scores, seconds: start.duration(to: .now).inSeconds)
        } catch {
            return .computeFailed(assignment.id, reason: "\(error)", isPermanent: error is PermanentFailure)
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
