public import ComputationGraph
internal import Datasets
internal import Engine
public import Report
internal import Search

/// What `evaluate` measured.
public struct Evaluation: Encodable, Sendable {
    /// The model without the removed edges.
    public let pruned: MeasuredState
    /// The unpruned model.
    public let base: MeasuredState
    /// Samples that were measured.
    public let samples: Int
    /// The loss's name.
    public let lossFunction: String
    /// Which outputs were measured, and on what scale.
    public let measured: LossReport
    /// The data that layers were fitted on, in words; `nil` where nothing is recovered.
    public let fitData: String?

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
        let isRecovered = !mask.isEmpty && !pruned.variant.recovery.isNone
        self.init(
            of: pruned,
            atCut: isRecovered ? try await workload.measure(Variant(mask), observer: observer) : nil,
            comparedWith: unpruned, in: workload)
    }

    /// What is known of a state, beside the unpruned model.
    ///
    /// - Parameter atCut: the same before its recovery; `nil` where nothing is recovered.
    init(of state: State, atCut: State? = nil, comparedWith unpruned: State, in workload: Workload) {
        let report = workload.lossReport(of: state.mask)
        func measured(_ state: State) -> MeasuredState {
            MeasuredState(
                state, baseLoss: unpruned.loss, countedLabels: workload.countedLabels, report: report)
        }
        var pruned = measured(state)
        pruned.atCut = atCut.map { MeasuredState.Measurement($0, countedLabels: workload.countedLabels) }
        self.pruned = pruned
        base = measured(unpruned)
        samples = workload.division.measured
        fitData = workload.fit?.origin
        lossFunction = workload.loss.name
        self.measured = report
    }

    /// The same keys as those of `base`, and what was removed.
    public func encode(to encoder: any Encoder) throws {
        try MeasuredState.FixedForm(pruned).encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(pruned.lossChange.isFinite ? pruned.lossChange : nil, forKey: .lossChange)
        try container.encode(samples, forKey: .samples)
        try container.encode(lossFunction, forKey: .lossFunction)
        try container.encode(pruned.removed.map(\.description), forKey: .removed)
        try container.encode(MeasuredState.FixedForm(base), forKey: .base)
        try container.encode(pruned.relativeLoss, forKey: .relativeLoss)
        try container.encode(measured.constantPredictorLoss, forKey: .constantPredictorLoss)
        try container.encode(measured.outputs, forKey: .measuredOutputs)
        try container.encodeIfPresent(measured.positionWeights, forKey: .positionWeights)
        try container.encode(measured.unmeasured, forKey: .unmeasuredOutputs)
        if let fitData {
            try container.encode(pruned.variant.recovery, forKey: .recovery)
            try container.encode(fitData, forKey: .fitData)
            try container.encode(pruned.atCut, forKey: .atCut)
        }
    }

    private enum CodingKeys: CodingKey {
        case lossChange, samples, lossFunction, removed, base
        case relativeLoss, constantPredictorLoss, measuredOutputs, positionWeights, unmeasuredOutputs
        case recovery, fitData, atCut
    }

    /// The result in a few lines.
    public var text: String {
        func line(_ name: String, _ state: MeasuredState) -> String {
            let loss =
                state.measurement.finiteLoss.map {
                    NumberText.significant($0) + measured.relativeText($0)
                } ?? "not finite (\(NumberText.counted(state.nonFiniteLosses, "sample")))"
            let accuracy = state.accuracy.map { ", accuracy \(NumberText.percent($0))" } ?? ""
            return
                "\(name): loss \(loss)\(accuracy), \(NumberText.counted(state.cost.parameters, "parameter")), "
                + "\(NumberText.counted(state.cost.flops, "FLOP"))\n"
        }
        let removed = pruned.removed.map(\.description)
        let recovered = pruned.atCut.map { atCut in
            "at the cut: \(atCut.brief)\nrecovered by \(pruned.variant.recovery), fitted on \(fitData ?? "")\n"
        }
        return "\(lossFunction) on \(NumberText.counted(samples, "sample"))\n" + measured.text
            + line("unpruned", base)
            + (recovered ?? "")
            + (removed.isEmpty ? "" : line("without " + removed.joined(separator: " "), pruned))
    }
}
