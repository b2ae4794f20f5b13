public import ComputationGraph
public import Search

/// What stops a run on a cluster.
public enum CoordinationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Work is left, and for too long no worker was there to take it.
    case noWorkers(waited: Duration)
    /// Workers are there, but none holds the shards that are left.
    case noWorkerForShards(waited: Duration)
    /// Worker after worker could not load model or data.
    case cannotLoad(reason: String)
    /// A task fails on whatever worker computes it.
    case taskFailed(state: Mask, block: BlockID, edges: [Edge?], reason: String)
    /// A task killed worker after worker, or failed on them.
    case deadlyTask(state: Mask, block: BlockID, edges: [Edge?], workers: Int, last: String)
    /// A result could not be kept.
    case journal(String)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .noWorkers(let waited): "there was no worker for \(Int(waited.inSeconds)) s, and work is left"
        case .noWorkerForShards(let waited):
            "for \(Int(waited.inSeconds)) s no worker held the shards that are left to compute"
        case .cannotLoad(let reason): "no worker can load the run: \(reason)"
        case .taskFailed(let state, let block, let edges, let reason):
            "\(Self.work(state, block, edges)) cannot be computed: \(reason)"
        case .deadlyTask(let state, let block, let edges, let workers, let last):
            "\(Self.work(state, block, edges)) ended or failed on \(workers) workers, the last time: \(last)"
        case .journal(let reason): "a result could not be kept: \(reason)"
        }
    }

    private static func work(_ state: Mask, _ block: BlockID, _ edges: [Edge?]) -> String {
        let removed = edges.map { $0.map(\.description) ?? "nothing more" }.joined(separator: ", ")
        return "block \(block.index) of shard \(block.shard), state \(state), removing \(removed),"
    }
}

/// A broken promise within a state machine: a defect of this program.
public struct InvariantViolation: Error, Hashable, Sendable, CustomStringConvertible {
    /// The promises that do not hold.
    public let problems: [String]

    /// The error as a sentence.
    public var description: String { problems.joined(separator: "; ") }
}
