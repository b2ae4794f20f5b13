public import Coordination
public import Datasets

/// A run's model and data, loaded: what a worker computes with. Stays on one thread.
public protocol WorkerComputation {
    /// The shards that are held.
    var shards: [Int] { get }
    /// What was computed on the run's reference block, 32 bytes; nothing where there is none.
    var proof: [UInt8] { get }
    /// Loads a shard from its file.
    mutating func hold(_ shard: Int, contentsOf path: String) throws
    /// Lets go of a shard.
    mutating func drop(_ shard: Int)
    /// The scores of a task, one list per expansion.
    func scores(of assignment: Assignment) throws -> [SampleScores]
}

/// What computations need that hold all data from the beginning.
extension WorkerComputation {
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
