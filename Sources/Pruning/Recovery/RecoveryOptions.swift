public import ComputationGraph

/// How weights are refitted before a mask is measured, and on what.
public struct RecoveryOptions: Sendable, Hashable {
    /// What is refitted.
    public var recovery: Recovery
    /// The data to fit on: a file or example. Without it some of the samples are set apart.
    public var data: String?
    /// The most samples to fit on; follows from the model unless given.
    public var samples: Int?

    /// Nothing is refitted, unless told otherwise.
    public init(_ recovery: Recovery = .none, data: String? = nil, samples: Int? = nil) {
        (self.recovery, self.data, self.samples) = (recovery, data, samples)
    }
}
