public import Foundation
public import Work

/// Who a worker is.
public struct Hello: Hashable, Sendable {
    /// The version of the worker's program.
    public let softwareVersion: String
    /// Drawn when the worker starts, so that it is known again after reconnecting.
    public let identity: WorkerID
    /// The machine's name.
    public let host: String
    /// The process number there.
    public let process: Int32
    /// The processor's name, in free text.
    public let processor: String
    /// The tensor engine in free text: library, version, instruction set.
    public let engine: String
    /// Bytes that the worker may take; `nil` for what the run says.
    public let memory: Int?

    /// A worker's introduction.
    public init(
        softwareVersion: String, identity: WorkerID, host: String, process: Int32, processor: String,
        engine: String = "", memory: Int? = nil
    ) {
        self.softwareVersion = softwareVersion
        self.identity = identity
        self.host = host
        self.process = process
        self.processor = processor
        self.engine = engine
        self.memory = memory
    }

    /// What it computes with.
    public var machine: String { engine.isEmpty ? processor : "\(processor), \(engine)" }

    /// How the worker is called in logs: identity, process and host.
    public var name: String { "worker \(identity) (process \(process) on \(host))" }
}

/// A task as it is handed to a worker.
public struct WorkOrder: Hashable, Sendable {
    /// The task and the attempt at it.
    public let id: AttemptID
    /// What to compute.
    public let key: WorkKey
    /// What makes the computation faster, and changes nothing of its result.
    public let hints: [UInt8]
    /// What it needs besides model and shard.
    public let contents: [ContentID]
    /// How long the coordinator waits before it hands the task to another worker too.
    public let deadline: Duration

    /// A task for a worker.
    public init(
        id: AttemptID, key: WorkKey, hints: [UInt8] = [], contents: [ContentID] = [], deadline: Duration
    ) {
        self.id = id
        self.key = key
        self.hints = hints
        self.contents = contents
        self.deadline = deadline
    }
}

/// What a worker computed.
public struct TaskResult: Hashable, Sendable {
    /// The task and the attempt at it.
    public let id: AttemptID
    /// The result, in the bytes of the task's kind.
    public let result: [UInt8]
    /// Seconds of computing.
    public let seconds: Double

    /// A task's result.
    public init(id: AttemptID, result: [UInt8], seconds: Double) {
        self.id = id
        self.result = result
        self.seconds = seconds
    }
}

/// What a worker finished for a coordinator that is gone: task numbers mean nothing to the next one, but the key says all.
public struct Handover: Hashable, Sendable {
    /// What that coordinator asked for.
    public let key: WorkKey
    /// Its result.
    public let result: TaskResult

    /// A result for whoever takes over.
    public init(key: WorkKey, result: TaskResult) {
        self.key = key
        self.result = result
    }
}

/// Why a worker could not compute a task.
public struct TaskFailure: Hashable, Sendable {
    /// The task and the attempt at it.
    public let id: AttemptID
    /// The error's sentence.
    public let reason: String
    /// Whether every other worker would fail in the same way.
    public let isPermanent: Bool

    /// A task's failure.
    public init(id: AttemptID, reason: String, isPermanent: Bool) {
        self.id = id
        self.reason = reason
        self.isPermanent = isPermanent
    }
}

/// What a worker says.
public enum WorkerMessage: Hashable, Sendable {
    case hello(Hello)
    /// The model is loaded, and these shards. Said again whenever the shards change. `proof` is the hash of what was
    /// computed on the run's reference block.
    case ready(shards: [Int], proof: [UInt8] = [])
    /// A piece of a content is wanted.
    case fetch(ChunkRequest)
    /// How far is the run? From anybody who may connect; needs no hello.
    case askStatus
    case result(TaskResult)
    /// The result of a task that a coordinator gave which is gone.
    case handover(Handover)
    case failed(TaskFailure)
    /// A queued task was dropped, as asked.
    case cancelled(AttemptID)
    /// The worker lives, and has computed so many tasks.
    case alive(computed: UInt64)
    /// The worker lives, and something keeps it from working.
    case waiting(reason: String)
    /// The worker leaves; `failed` when it cannot do this run's work.
    case goodbye(reason: String, failed: Bool)
}

/// What a coordinator says.
public enum CoordinatorMessage: Hashable, Sendable {
    case welcome(RunDescription)
    /// The worker is not wanted, and need not try again.
    case refused(reason: String)
    case task(WorkOrder)
    /// The answer to an attempt has arrived, and is kept if it was needed.
    case acknowledged(AttemptID)
    /// A task is not needed any more.
    case cancel(TaskID)
    /// The run is over.
    case stop(reason: String)
    case alive
    /// The coordinator does not know the sender (any more): say hello.
    case introduce
    /// The shards that the worker is to hold from now on, the most urgent first.
    case hold([ShardContent])
    case chunk(Chunk)
    /// How far the run is: a JSON object.
    case status(json: Data)
    /// A content cannot be had.
    case missing(sha256: [UInt8], reason: String)
}
