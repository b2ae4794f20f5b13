public import FoundationEssentials
public import Work

/// A file of a model. The first of a list is the model itself, the others hold its weights.
public struct ModelPart: Hashable, Sendable {
    /// Where the file lies, relative to the model's folder.
    public let name: String
    /// What it holds.
    public let content: ContentID

    /// The file of this name.
    public init(name: String, content: ContentID) {
        self.name = name
        self.content = content
    }

    /// Whether the name stays within its folder.
    var isSafe: Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return !name.isEmpty && !name.utf8.contains(0) && !name.contains("\\")
            && !parts.contains { $0.isEmpty || $0 == "." || $0 == ".." }
    }
}

/// A shard of the data as a file of its own.
public struct ShardContent: Hashable, Sendable {
    /// The shard's number.
    public let shard: Int
    /// An `.npz` archive of its samples.
    public let content: ContentID

    /// The content of shard number `shard`.
    public init(shard: Int, content: ContentID) {
        self.shard = shard
        self.content = content
    }
}

/// Work on which a worker shows that it computes the same bits as the coordinator.
public struct Reference: Hashable, Sendable {
    /// An `.npz` archive of the samples.
    public let content: ContentID
    /// What is computed on them.
    public let key: WorkKey

    /// Work on the samples of an archive.
    public init(content: ContentID, key: WorkKey) {
        self.content = content
        self.key = key
    }
}

/// A piece of a content that a worker asks for.
public struct ChunkRequest: Hashable, Sendable {
    /// The content's hash.
    public let sha256: [UInt8]
    /// The first byte.
    public let offset: Int
    /// How many bytes.
    public let count: Int

    /// Asks for `count` bytes from `offset` on.
    public init(sha256: [UInt8], offset: Int, count: Int) {
        self.sha256 = sha256
        self.offset = offset
        self.count = count
    }

    /// Large enough to use a line well, small enough that heartbeats and tasks behind some of them come in time.
    public static let largestCount = 128 << 10
}

/// The answer to a `ChunkRequest`.
public struct Chunk: Hashable, Sendable {
    /// The content's hash.
    public let sha256: [UInt8]
    /// The first byte.
    public let offset: Int
    /// The bytes.
    public let bytes: Data

    /// These bytes, from `offset` on.
    public init(sha256: [UInt8], offset: Int, bytes: Data) {
        self.sha256 = sha256
        self.offset = offset
        self.bytes = bytes
    }
}
