public import ComputationGraph
public import Datasets
public import Search

/// What was measured on data that the search never saw (`--validation`).
public struct HeldOutSummary: Sendable {
    /// Loss and accuracy of one state.
    public struct Measurement: Sendable, Hashable {
        /// The weighted mean loss; infinite when a sample's is no number.
        public let loss: Double
        /// Correct predictions per counted label, 0 to 1; `nil` without labels.
        public let accuracy: Double?

        /// What was measured of a state.
        public init(_ state: State, countedLabels: LabelCounts?) {
            loss = state.loss
            accuracy = state.correct.flatMap { countedLabels?.accuracy(correct: $0) }
        }
    }

    /// The data as they were named.
    public let data: String
    /// The number of samples.
    public let samples: Int
    /// What was measured, by mask.
    public let measurements: [Mask: Measurement]

    /// A summary of these measurements.
    public init(data: String, samples: Int, measurements: [Mask: Measurement]) {
        self.data = data
        self.samples = samples
        self.measurements = measurements
    }
}

extension HeldOutSummary: Encodable {
    private enum Key: CodingKey { case data, samples }

    /// Writes what the data are; the measurements stand with the states that they are of.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(data, forKey: .data)
        try container.encode(samples, forKey: .samples)
    }
}

extension HeldOutSummary.Measurement: Encodable {
    private enum Key: CodingKey { case loss, accuracy, finite }

    /// JSON has no infinity: a loss that is none is null, with `"finite": false`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(loss.isFinite ? loss : nil, forKey: .loss)
        try container.encode(accuracy, forKey: .accuracy)
        if !loss.isFinite { try container.encode(false, forKey: .finite) }
    }
}
