public import Coordination
public import Datasets

/// A run's model and data, loaded: what a worker computes with. Stays on one thread.
public protocol WorkerComputation {
    /// The shards that are held.
    var shards: [Int] { get }
    /// The scores of a task, one list per expansion.
    func scores(of assignment: Assignment) throws -> [SampleScores]
}

/// A computation that every other worker would fail in the same way.
public struct PermanentFailure: Error, Sendable, CustomStringConvertible {
    /// The cause's sentence.
    public let description: String

    /// A failure with this sentence.
    public init(_ description: String) { self.description = description }
}
