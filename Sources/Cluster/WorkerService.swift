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

    /// A worker that has not begun yet.
    ///
    /// - Parameters:
    ///   - endpoint: the coordinator's: `ipc://PATH`, `inproc://NAME`, or `tcp://HOST:PORT` with keys.
    ///   - softwareVersion: the program's version, which has to be the coordinator's too.
    /// - Throws: `ClusterError.keysMissing`; `ZeroMQError` when the system has no resources left.
    public init(
        endpoint: String, keys: WorkerKeys? = nil, softwareVersion: String, limits: WireLimits = WireLimits(),
        context: Context? = nil, logger: Logger = Logger(label: "espalier.worker"),
        configure: (inout WorkerSettings) -> Void = { _ in }
    ) throws {
        try Transport.check(endpoint, hasKeys: keys != nil)
        self.endpoint = endpoint
        self.keys = keys
        self.limits = limits
        self.context = context
        self.logger = logger
        var settings = WorkerSettings(
            hello: Hello(
                softwareVersion: softwareVersion, identity: .random(), host: Machine.hostName,
                process: getpid(),
                processor: Machine.processorName))
        configure(&settings)
        self.settings = settings
        mailbox = try Mailbox()
    }

    /// Asks the worker to end: it gives its tasks back and says goodbye. From any thread.
    public func terminate() { mailbox.post(.terminate) }

    /// Works until the run is over.
    ///
    /// - Parameters:
    ///   - whenOver: called on the talking thread as soon as the work is over, while a computation may still be in
    ///     progress; a process that has nothing else to do ends itself here.
    ///   - load: loads a run's model and data; on the calling thread, as is everything that it returns.
    /// - Returns: why the work ended, once the computation in progress is done.
    public func run(
        whenOver: @escaping @Sendable (WorkerEnding) -> Void = { _ in },
        load: (RunDescription) throws -> any WorkerComputation
    ) -> WorkerEnding {
        let ended = DispatchSemaphore(value: 0)
        let thread = Thread { [self] in
            let ending = WorkerLoop(
                endpoint: endpoint, keys: keys, settings: settings, wire: Wire(limits: limits),
                context: context,
                logger: logger, mailbox: mailbox, jobs: jobs
            ).run()
            whenOver(ending)
            jobs.add(.end(ending))
            ended.signal()
        }
        thread.name = "espalier-worker"
        thread.start()
        var computation: (any WorkerComputation)?
        while true {
            switch jobs.next() {
            case .end(let ending):
                ended.wait()
                return ending
            case .load(let run):
                // The old one goes first: two may not fit into memory.
                computation = nil
                do {
                    let loaded = try load(run)
                    computation = loaded
                    mailbox.post(.event(.loaded(run, shards: loaded.shards)))
                } catch { mailbox.post(.event(.loadFailed(run, reason: "\(error)"))) }
            case .compute(let assignment): mailbox.post(.event(compute(assignment, computation)))
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
