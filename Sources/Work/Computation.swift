/// Where a computation gets contents from that its item names.
public protocol ContentAccess {
    /// What the content holds. Waits until it is there.
    func bytes(of content: ContentID) throws -> [UInt8]
    /// Says that a content is not asked for again: what is kept of it may go.
    func discard(_ content: ContentID)
}

extension ContentAccess {
    /// Keeps it.
    public func discard(_ content: ContentID) {}
}

/// What a worker computes with: model and data, loaded. Stays on one thread.
public protocol Computation {
    /// The shards that are held.
    var shards: [Int] { get }
    /// What was computed on the run's reference block, 32 bytes; nothing where there is none.
    var proof: [UInt8] { get }
    /// Loads a shard from its file.
    mutating func hold(_ shard: Int, contentsOf path: String) throws
    /// Lets go of a shard.
    mutating func drop(_ shard: Int)
    /// Computes the result of an item: a pure function of its key, the model and the data.
    ///
    /// - Parameters:
    ///   - hints: what makes it faster.
    ///   - contents: gives what the item names besides model and shard.
    /// - Throws: `PermanentFailure` for what every worker would fail in.
    func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8]
}

/// What computations need that hold all data from the beginning.
extension Computation {
    /// No proof.
    public var proof: [UInt8] { [] }
    /// Nothing: everything is there.
    public mutating func hold(_ shard: Int, contentsOf path: String) throws {}
    /// Nothing: everything stays.
    public mutating func drop(_ shard: Int) {}
}

/// A computation that every other worker would fail in the same way.
public struct PermanentFailure: Error, Sendable, CustomStringConvertible {
    /// The cause's sentence.
    public let description: String

    /// A failure with this sentence.
    public init(_ description: String) { self.description = description }
}
