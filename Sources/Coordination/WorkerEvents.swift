/// Who a worker is, and how patient.
public struct WorkerSettings: Sendable {
    /// How the worker introduces itself.
    public let hello: Hello
    /// How long to wait for a coordinator's first word before connecting anew.
    public var greetingLimit: Duration = .seconds(5)
    /// The first pause before connecting anew; it doubles with every failure.
    public var firstPause: Duration = .milliseconds(100)
    /// The longest pause.
    public var longestPause: Duration = .seconds(10)
    /// How long to go on without a coordinator; `nil` for ever.
    public var coordinatorLimit: Duration?

    /// The usual patience.
    public init(hello: Hello) { self.hello = hello }
}

/// What a worker is told.
public enum WorkerEvent: Sendable {
    /// A connection was begun; what is sent goes out once it is there.
    case connected
    case received(CoordinatorMessage)
    /// Something keeps the worker from working, in words; `nil` once it does not any more.
    case troubled(String?)
    /// Something came that is no message.
    case malformed(WireError)
    /// The connection cannot be used any more, for a reason.
    case connectionBroken(String)
    /// A run's model and data are there.
    case loaded(RunDescription, shards: [Int], proof: [UInt8] = [])
    /// Other shards are held than before.
    case holds([Int])
    /// A piece of a content is wanted.
    case request(ChunkRequest)
    /// A run's model and data cannot be used.
    case loadFailed(RunDescription, reason: String)
    case computed(AttemptID, result: [UInt8], seconds: Double)
    case computeFailed(AttemptID, reason: String, isPermanent: Bool)
    /// Some time has passed: to be told a few times per heartbeat.
    case tick
    /// The process was asked to end.
    case terminate
}

/// What a worker wants done, in this order.
public enum WorkerAction: Hashable, Sendable {
    case send(WorkerMessage)
    /// Load model and data; answer `loaded` or `loadFailed`. Earlier runs' are not needed any more.
    case load(RunDescription)
    /// Hold these shards, the first ones first, and no others; answer `holds` after each.
    case hold([ShardContent])
    /// A piece that was asked for.
    case deliver(Chunk)
    /// A content that was asked for cannot be had.
    case missing(sha256: [UInt8], reason: String)
    /// Compute a task; answer `computed` or `computeFailed`. There is one at a time.
    case compute(WorkOrder)
    /// Close the connection, wait, begin another, and say `connected`.
    case reconnect(after: Duration)
    case log(LogLevel, String)
    /// The worker's work is over: send what is still to be sent, and end.
    case stop(WorkerEnding)
}

/// Why a worker ended.
public enum WorkerEnding: Error, Hashable, Sendable, CustomStringConvertible {
    /// The coordinator said that the run is over.
    case finished(reason: String)
    /// The coordinator did not want this worker.
    case refused(reason: String)
    /// The coordinator speaks something else.
    case misunderstood(WireError)
    /// Model or data could not be used.
    case cannotLoad(reason: String)
    /// For too long there was no coordinator.
    case noCoordinator(waited: Duration)
    /// A computation does not end.
    case stuck(TaskID, reason: String)
    /// The process was asked to end.
    case terminated

    /// The exit status that tells it: 0 for an end that was wanted, 65 for input that cannot be used,
    /// 70 for a computation that does not end, 69 otherwise.
    public var exitStatus: Int32 {
        switch self {
        case .finished, .terminated: 0
        case .cannotLoad: 65
        case .refused, .misunderstood, .noCoordinator: 69
        case .stuck: 70
        }
    }

    /// The reason as a sentence.
    public var description: String {
        switch self {
        case .finished(let reason): "the coordinator ended the work: \(reason)"
        case .refused(let reason): "the coordinator refused this worker: \(reason)"
        case .misunderstood(let error): "the coordinator cannot be understood: \(error)"
        case .cannotLoad(let reason): "the run cannot be loaded: \(reason)"
        case .noCoordinator(let waited): "there was no coordinator for \(Int(waited.inSeconds)) s"
        case .stuck(let task, let reason): "\(task) does not end: \(reason)"
        case .terminated: "the worker was asked to end"
        }
    }
}
