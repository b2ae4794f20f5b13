public import ComputationGraph
public import Datasets
public import Search

/// A variant of the model with everything that was measured of it.
///
/// This is the one type for a measured state outside the search: every summary, table and JSON form is made from it. A JSON
/// form has fewer numbers than the state, so each has its own encoding here.
public struct MeasuredState: Sendable, Hashable {
    /// What was measured on one set of data.
    public struct Measurement: Sendable, Hashable {
        /// The weighted mean loss; infinite when a sample's is no number.
        public let loss: Double
        /// Correct predictions per counted label, 0 to 1; `nil` without labels.
        public let accuracy: Double?
        /// Samples whose loss is no finite number.
        public let nonFiniteLosses: Int

        /// A measurement from plain numbers.
        public init(loss: Double, accuracy: Double?, nonFiniteLosses: Int = 0) {
            self.loss = loss
            self.accuracy = accuracy
            self.nonFiniteLosses = nonFiniteLosses
        }

        /// The measurement that a state of the search holds.
        ///
        /// - Parameter countedLabels: the labels of the data that count towards the accuracy; `nil` without labels.
        public init(_ state: State, countedLabels: LabelCounts?) {
            self.init(
                loss: state.loss,
                accuracy: state.correct.flatMap { countedLabels?.accuracy(correct: $0) },
                nonFiniteLosses: state.nonFiniteLosses)
        }

        /// The loss; `nil` when it is not finite.
        public var finiteLoss: Double? { loss.isFinite ? loss : nil }

        /// Loss and accuracy in a few words.
        public var brief: String {
            "loss " + (finiteLoss.map(NumberText.significant) ?? "not finite")
                + (accuracy.map { ", accuracy \(NumberText.percent($0))" } ?? "")
        }
    }

    /// What is removed from which weights.
    public let variant: Variant
    /// The last unit removed; `nil` for the unpruned model.
    public let unit: Unit?
    /// What was removed in the same step as `unit`.
    public let alongside: [Unit]
    /// What the pruned model costs.
    public let cost: Cost
    /// What was measured on the data that the search sees.
    public let measurement: Measurement
    /// L′ − L, signed; not finite when one of the two losses is not.
    public let lossChange: Double
    /// The loss in units of that of a constant output; `nil` where there is no such scale.
    public var relativeLoss: Double?
    /// What was measured on data that the search never sees; `nil` where there were none.
    public var heldOut: Measurement?
    /// What was measured before the recovery; `nil` where nothing is recovered.
    public var atCut: Measurement?
    /// The mean loss of a training's repeats, which chose the state; `nil` where nothing is repeated.
    public let meanLoss: Double?
    /// The weights that its recovery trained; `nil` where they follow from the variant in closed form, or are the model's own.
    public let weights: WeightsID?

    /// A state of the search, with its accuracy and its change.
    ///
    /// - Parameters:
    ///   - baseLoss: the unpruned model's loss.
    ///   - countedLabels: the labels that count towards the accuracy; `nil` without labels.
    ///   - report: gives the losses a scale.
    public init(
        _ state: State, baseLoss: Double, countedLabels: LabelCounts?, report: LossReport? = nil,
        heldOut: Measurement? = nil
    ) {
        variant = state.variant
        (unit, alongside) = (state.unit, state.alongside)
        cost = state.cost
        (meanLoss, weights) = (state.meanLoss, state.weights)
        measurement = Measurement(state, countedLabels: countedLabels)
        lossChange = state.loss - baseLoss
        relativeLoss = report?.relative(state.loss)
        self.heldOut = heldOut
        atCut = state.lossAtCut.map { Measurement(loss: $0, accuracy: nil) }
    }

    /// The loss on the data that the search sees; infinite when a sample's is no number.
    public var loss: Double { measurement.loss }
    /// Correct predictions per counted label on these data, 0 to 1; `nil` without labels.
    public var accuracy: Double? { measurement.accuracy }
    /// Samples of these data whose loss is no finite number.
    public var nonFiniteLosses: Int { measurement.nonFiniteLosses }
    /// The removed units, in canonical order.
    public var removed: [Unit] { variant.mask.units }
}

// MARK: The form of `prune --json`

extension MeasuredState.Measurement: Encodable {
    private enum Key: CodingKey { case loss, accuracy, finite }

    /// Writes the documented keys. JSON has no infinity: a loss that is none is null, with `"finite": false`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(finiteLoss, forKey: .loss)
        try container.encode(accuracy, forKey: .accuracy)
        if finiteLoss == nil { try container.encode(false, forKey: .finite) }
    }
}

extension MeasuredState: Encodable {
    enum Key: String, CodingKey {
        case step, edge, alongside, samples, removed
        case loss, lossChange, accuracy, parameters, flops, finite, nonFiniteLosses, validation
        case relativeLoss, atCut, meanLoss, weights
    }

    /// Writes the removed units and the measured numbers; numbers that JSON lacks become null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(removed.map(\.description), forKey: .removed)
        try encode(into: &container)
    }

    /// Adds the measured numbers. JSON has no infinity: a loss that is none is null, with `"finite": false`.
    func encode(into container: inout KeyedEncodingContainer<Key>, isChange: Bool = true) throws {
        try container.encode(measurement.finiteLoss, forKey: .loss)
        if isChange { try container.encode(lossChange.isFinite ? lossChange : nil, forKey: .lossChange) }
        if let relativeLoss { try container.encode(relativeLoss, forKey: .relativeLoss) }
        try container.encode(accuracy, forKey: .accuracy)
        try container.encode(cost.parameters, forKey: .parameters)
        try container.encode(cost.flops, forKey: .flops)
        if !loss.isFinite { try container.encode(false, forKey: .finite) }
        try container.encodeIfPresent(heldOut, forKey: .validation)
        try container.encodeIfPresent(atCut, forKey: .atCut)
        try container.encodeIfPresent(meanLoss.flatMap { $0.isFinite ? $0 : nil }, forKey: .meanLoss)
        try container.encodeIfPresent(weights?.hexadecimal, forKey: .weights)
        if nonFiniteLosses > 0 { try container.encode(nonFiniteLosses, forKey: .nonFiniteLosses) }
    }
}

// MARK: The form of `evaluate --json`, `score --json` and `compare --json`

extension MeasuredState {
    /// The form of a state with five keys that are always there; a loss or an accuracy that there is not is null.
    public struct FixedForm: Sendable, Hashable, Encodable {
        /// What is written of the state, on one of its data.
        public let measurement: Measurement
        private let cost: Cost

        /// The state with its measurement on the data that the search sees.
        public init(_ state: MeasuredState) { (measurement, cost) = (state.measurement, state.cost) }

        /// The state with its measurement on held-out data; `nil` where there were none.
        public init?(heldOutOf state: MeasuredState) {
            guard let heldOut = state.heldOut else { return nil }
            (measurement, cost) = (heldOut, state.cost)
        }

        private enum Key: CodingKey { case loss, accuracy, parameters, flops, nonFiniteLosses }

        /// Writes the five keys.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(measurement.finiteLoss, forKey: .loss)
            try container.encode(measurement.accuracy, forKey: .accuracy)
            try container.encode(cost.parameters, forKey: .parameters)
            try container.encode(cost.flops, forKey: .flops)
            try container.encode(measurement.nonFiniteLosses, forKey: .nonFiniteLosses)
        }
    }
}
