/// What goes wrong around a cluster, besides what stops a run (`CoordinationError`).
public enum ClusterError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Someone asked to stop; everything that had arrived is kept.
    case interrupted
    /// The evaluator was shut down.
    case shutDown
    /// Another level is being evaluated.
    case busy
    /// An endpoint that other machines can reach needs keys.
    case keysMissing(endpoint: String)
    /// An endpoint cannot be listened on.
    case cannotListen(String)
    /// The private folder for local workers could not be made.
    case folder(path: String, reason: String)
    /// A worker's process could not be started.
    case cannotStart(executable: String, reason: String)
    /// Worker after worker ended before it could compute.
    case workersDie(count: Int, last: String, output: [String])
    /// Model or data differ from the coordinator's.
    case differentFile(path: String, expected: String, found: String)
    /// The cache of contents cannot be used.
    case cache(path: String, reason: String)
    /// The disk of the cache of contents is full.
    case cacheFull(path: String, reason: String)
    /// The coordinator cannot give a content.
    case contentMissing(content: String, reason: String)
    /// What the coordinator gave is not what it had named.
    case otherContent(content: String, attempts: Int)
    /// A coordinator did not say how far it is.
    case noStatus(endpoint: String, reason: String)
    /// A task needs a shard that is not held.
    case shardMissing(Int)
    /// A key cannot be used.
    case key(path: String, reason: String)
    /// A loss of another version of this program.
    case unknownLoss(String)
    /// The data set has another number of samples than the run.
    case sampleCount(path: String, expected: Int, found: Int)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .interrupted: "interrupted; the run can be resumed"
        case .shutDown: "the cluster was shut down"
        case .busy: "the runner is busy with another source of work, and runs one at a time"
        case .keysMissing(let endpoint):
            "\(endpoint) can be reached from other machines, so it needs keys"
        case .cannotListen(let reason): reason
        case .folder(let path, let reason): "\(path): the folder for local workers cannot be made: \(reason)"
        case .cannotStart(let executable, let reason): "\(executable): a worker cannot be started: \(reason)"
        case .workersDie(let count, let last, let output):
            "\(count) worker processes in a row ended before they could compute, the last one with \(last)"
                + (output.isEmpty ? "" : "; it said: " + output.joined(separator: " | "))
        case .differentFile(let path, let expected, let found):
            "\(path): its SHA-256 is \(found), and the coordinator's file has \(expected)"
        case .cache(let path, let reason): "\(path): the cache cannot be used: \(reason)"
        case .cacheFull(let path, let reason): "\(path): the cache has no room: \(reason)"
        case .contentMissing(let content, let reason):
            "content \(content.prefix(12)) cannot be had: \(reason)"
        case .otherContent(let content, let attempts):
            "content \(content.prefix(12)) came \(attempts) times with bytes that have another SHA-256"
        case .noStatus(let endpoint, let reason): "\(endpoint): no status: \(reason)"
        case .shardMissing(let shard): "shard \(shard) is not held here"
        case .key(let path, let reason): "\(path): \(reason)"
        case .unknownLoss(let name): "there is no loss '\(name)'"
        case .sampleCount(let path, let expected, let found):
            "\(path): \(found) samples are taken, and the run has \(expected)"
        }
    }
}
