public import ComputationGraph
internal import Datasets
internal import Engine
public import Report
internal import Search

/// What `evaluate` measured.
public struct Evaluation: Encodable, Sendable {
    /// The measurements of one model.
    public struct Measured: Encodable, Sendable {
        /// `nil` when a sample's loss is no finite number.
        public let loss: Double?
        /// The share of the counted labels that are predicted; `nil` without labels.
        public let accuracy: Double?
        /// Elements of the parameters that are left.
        public let parameters: Int
        /// Floating-point operations for one sample.
        public let flops: Int
        /// Samples whose loss is no finite number.
        public let nonFiniteLosses: Int

        /// A loss or an accuracy that there is not is null, so that every key is always there.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(loss, forKey: .loss)
            try container.encode(accuracy, forKey: .accuracy)
            try container.encode(parameters, forKey: .parameters)
            try container.encode(flops, forKey: .flops)
            try container.encode(nonFiniteLosses, forKey: .nonFiniteLosses)
        }

        private enum CodingKeys: CodingKey { case loss, accuracy, parameters, flops, nonFiniteLosses }

        /// Loss and accuracy in a few words.
        public var brief: String {
            "loss " + (loss.map { "\($0)" } ?? "not finite") + (accuracy.map { ", accuracy \($0)" } ?? "")
        }

        init(_ state: State, labels: LabelCounts?) {
            loss = state.loss.isFinite ? state.loss : nil
            accuracy = state.correct.flatMap { labels?.accuracy(correct: $0) }
            parameters = state.cost.parameters
            flops = state.cost.flops
            nonFiniteLosses = state.nonFiniteLosses
        }
    }

    /// The loss without the removed edges; `nil` when it is not finite.
    public let loss: Double?
    /// The loss minus the unpruned model's.
    public let lossChange: Double?
    /// The share of the counted labels that are predicted; `nil` without labels.
    public let accuracy: Double?
    /// Elements of the parameters that are left.
    public let parameters: Int
    /// Floating-point operations for one sample.
    public let flops: Int
    /// Samples whose loss is no finite number.
    public let nonFiniteLosses: Int
    /// Samples that were measured.
    public let samples: Int
    /// The loss's name.
    public let lossFunction: String
    /// The removed edges, as `NODE:SLOT`.
    public let removed: [String]
    /// The unpruned model.
    public let base: Measured
    /// Which outputs were measured, and on what scale.
    public let measured: LossReport

    /// Measures the unpruned model and the mask.
    ///
    /// - Parameter observer: told how far it is.
    public init(of mask: Mask, in workload: Workload, observer: (any PruneObserver)? = nil) async throws {
        try await self.init(
            of: mask, comparedWith: workload.measure(.empty, observer: observer), in: workload,
            observer: observer)
    }

    /// Measures a mask; `unpruned` is known already.
    init(
        of mask: Mask, comparedWith unpruned: State, in workload: Workload,
        observer: (any PruneObserver)? = nil
    ) async throws {
        let pruned = mask.isEmpty ? unpruned : try await workload.measure(mask, observer: observer)
        self.init(of: pruned, comparedWith: unpruned, in: workload)
    }

    /// What is known of a state, beside the unpruned model.
    init(of pruned: State, comparedWith unpruned: State, in workload: Workload) {
        let labels = workload.countedLabels
        let mask = pruned.mask
        let reference = Measured(unpruned, labels: labels)
        let measured = Measured(pruned, labels: labels)
        base = reference
        loss = measured.loss
        lossChange = measured.loss.flatMap { pruned in reference.loss.map { pruned - $0 } }
        accuracy = measured.accuracy
        parameters = measured.parameters
        flops = measured.flops
        nonFiniteLosses = measured.nonFiniteLosses
        samples = workload.dataset.samples
        lossFunction = workload.loss.name
        removed = mask.units.map(\.description)
        self.measured = workload.lossReport(of: mask)
    }

    /// The same keys as those of `base`, and what was removed.
    public func encode(to encoder: any Encoder) throws {
        try Measured(
            loss: loss, accuracy: accuracy, parameters: parameters, flops: flops,
            nonFiniteLosses: nonFiniteLosses
        ).encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(lossChange, forKey: .lossChange)
        try container.encode(samples, forKey: .samples)
        try container.encode(lossFunction, forKey: .lossFunction)
        try container.encode(removed, forKey: .removed)
        try container.encode(base, forKey: .base)
        try container.encode(measured.relative(loss), forKey: .relativeLoss)
        try container.encode(measured.constantPredictorLoss, forKey: .constantPredictorLoss)
        try container.encode(measured.outputs, forKey: .measuredOutputs)
        try container.encodeIfPresent(measured.positionWeights, forKey: .positionWeights)
        try container.encode(measured.unmeasured, forKey: .unmeasuredOutputs)
    }

    private enum CodingKeys: CodingKey {
        case lossChange, samples, lossFunction, removed, base
        case relativeLoss, constantPredictorLoss, measuredOutputs, positionWeights, unmeasuredOutputs
    }

    /// The result in a few lines.
    public var text: String {
        func line(_ name: String, _ measured: Measured) -> String {
            let relative = self.measured.relativeText(measured.loss)
            let loss =
                measured.loss.map { "\($0)\(relative)" } ?? "not finite (\(measured.nonFiniteLosses) samples)"
            let accuracy = measured.accuracy.map { ", accuracy \($0)" } ?? ""
            return
                "\(name): loss \(loss)\(accuracy), \(measured.parameters) parameters, \(measured.flops) FLOPs\n"
        }
        var text = "\(lossFunction) on \(samples) samples\n" + measured.text + line("unpruned", base)
        if !removed.isEmpty {
            let measured = Measured(
                loss: loss, accuracy: accuracy, parameters: parameters, flops: flops,
                nonFiniteLosses: nonFiniteLosses)
            text += line("without " + removed.joined(separator: " "), measured)
        }
        return text
    }
}

extension Evaluation.Measured {
    fileprivate init(loss: Double?, accuracy: Double?, parameters: Int, flops: Int, nonFiniteLosses: Int) {
        self.loss = loss
        self.accuracy = accuracy
        self.parameters = parameters
        self.flops = flops
        self.nonFiniteLosses = nonFiniteLosses
    }
}
