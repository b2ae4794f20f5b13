public import Datasets

/// Why bytes from a peer are no message.
public enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
    /// More bytes than a frame may have.
    case tooLarge(bytes: Int, limit: Int)
    /// The bytes are no protocol buffer.
    case malformed
    /// The bytes are not those that were sent.
    case damaged
    /// The peer speaks another version of the protocol.
    case wrongVersion(peer: UInt32, own: UInt32)
    /// A kind of message that this side does not know, or does not take.
    case unknownKind(String)
    /// A field whose value cannot be.
    case invalid(message: String, field: String, problem: String)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .tooLarge(let bytes, let limit): "a frame of \(bytes) bytes exceeds the limit of \(limit)"
        case .malformed: "a frame is no protocol buffer"
        case .damaged: "a frame was damaged on its way: its checksum is wrong"
        case .wrongVersion(let peer, let own):
            "the other side speaks version \(peer) of the protocol, this one version \(own)"
        case .unknownKind(let kind): "a message of the kind '\(kind)' is not understood here"
        case .invalid(let message, let field, let problem): "\(message).\(field): \(problem)"
        }
    }
}

/// How large messages may be. Everything is checked before anything is allocated for it.
public struct WireLimits: Hashable, Sendable {
    /// Bytes of one frame; those that are allowed follow from what a run's messages hold.
    public var frameBytes = 1 << 30
    /// Bytes of what a task is to compute, and of the hints beside it.
    public var payloadBytes = 4 << 20
    /// Bytes of what a task's result is.
    public var resultBytes = 48 << 20
    /// Contents that a task may need.
    public var itemContents = 1 << 8
    /// Samples of the whole data set.
    public var samples = Int(UInt32.max) - 1
    /// Shards of the data set.
    public var shards = 1 << 20
    /// Shards that a worker may be told to hold.
    public var heldShards = 1 << 14
    /// Files of a model.
    public var modelParts = 1 << 10
    /// Bytes of such a file's name.
    public var nameBytes = 1 << 10
    /// Bytes of a model's file or a shard.
    public var contentBytes = 1 << 44
    /// Bytes of a path or a reason.
    public var textBytes = 1 << 14

    /// Limits that no sensible run reaches.
    public init() {}

    /// A worker's: how large results may be is for its coordinator to say.
    public static var ofWorkers: WireLimits {
        var limits = WireLimits()
        limits.resultBytes = limits.frameBytes - 2 * limits.payloadBytes
        return limits
    }

    /// The limits of a run that is divided so: what its coordinator takes from workers.
    ///
    /// - Parameter resultBytes: the bytes of the largest result of any kind of work that the run does; `nil` where that is not
    ///   known.
    public init(_ sharding: Sharding, resultBytes: Int? = nil) {
        if let resultBytes { self.resultBytes = min(frameBytes - 2 * payloadBytes, resultBytes) }
        shards = min(shards, sharding.shards)
    }

    /// What every message has besides arrays and texts.
    private static let overhead = 1 << 10

    /// The most bytes of a legitimate frame from a worker: a result, a list of shards, or texts.
    public var workerFrameBytes: Int {
        // A handover has what was asked for beside the result.
        let largest = max(payloadBytes + resultBytes, 4 * shards, 4 * textBytes)
        return min(frameBytes, largest > frameBytes ? frameBytes : largest + Self.overhead)
    }

    /// The most bytes of a legitimate frame from a coordinator: a task, the shards to hold, a run, or a chunk.
    public var coordinatorFrameBytes: Int {
        let task = 2 * payloadBytes + 64 * itemContents
        let welcome = modelParts * (nameBytes + 64) + 4 * textBytes + payloadBytes
        let largest = max(task, welcome, 64 * heldShards, ChunkRequest.largestCount)
        return min(frameBytes, largest + Self.overhead)
    }
}
