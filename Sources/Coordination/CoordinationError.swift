/// What stops a run on a cluster.
public enum CoordinationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Work is left, and for too long no worker was there to take it.
    case noWorkers(waited: Duration)
    /// Workers are there, but none holds the shards that are left.
    case noWorkerForShards(waited: Duration)
    /// Worker after worker could not load model or data.
    case cannotLoad(reason: String)
    /// A task fails on whatever worker computes it.
    case taskFailed(work: String, reason: String)
    /// A task killed worker after worker, or failed on them.
    case deadlyTask(work: String, workers: Int, last: String)
    /// A result could not be kept.
    case journal(String)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .noWorkers(let waited): "there was no worker for \(Int(waited.inSeconds)) s, and work is left"
        case .noWorkerForShards(let waited):
            "for \(Int(waited.inSeconds)) s no worker held the shards that are left to compute"
        case .cannotLoad(let reason): "no worker can load the run: \(reason)"
        case .taskFailed(let work, let reason): "\(work) cannot be computed: \(reason)"
        case .deadlyTask(let work, let workers, let last):
            "\(work) ended or failed on \(workers) workers, the last time: \(last)"
        case .journal(let reason): "a result could not be kept: \(reason)"
        }
    }
}

/// A broken promise within a state machine: a defect of this program.
public struct InvariantViolation: Error, Hashable, Sendable, CustomStringConvertible {
    /// The promises that do not hold.
    public let problems: [String]

    /// The error as a sentence.
    public var description: String { problems.joined(separator: "; ") }
}
