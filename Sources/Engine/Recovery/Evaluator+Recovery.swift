public import ComputationGraph
public import Datasets
internal import Torch

/// Losses of variants that are recovered before they are measured.
extension Evaluator {
    /// Makes sure that fits are made on the data of this name.
    ///
    /// - Parameters:
    ///   - trained: the loss that trainings go by; the evaluator's own unless given.
    ///   - load: gives the data where others are in use.
    public func useFitData(
        named name: [UInt8], trainedBy trained: LossDescription? = nil, load: () throws -> FitData
    ) throws {
        guard network.recoveries?.name != name else { return }
        network.recoveries = Recoveries(network, try load(), name: name, loss: trained ?? loss)
        network.shared.forget()
    }

    /// The samples that `FitData.encode` wrote.
    ///
    /// - Throws: `DatasetError` for bytes that are none.
    public func fitData(encoded bytes: [UInt8]) throws -> FitData {
        try FitData(encoded: bytes, for: graph, axes: dataset.inputAxes)
    }

    /// The losses of `samples` for each of `expansions` of `state`, each with the weights that its recovery makes; where a
    /// training is repeated, the means of the losses, and the correct predictions of the first.
    ///
    /// - Parameters:
    ///   - samples: indices into the data set, in the order of the block.
    ///   - expansions: units to remove besides `state`; `nil` stands for the state itself.
    /// - Returns: one score list per expansion, in their order.
    /// - Throws: `EngineError` that names the node that failed, or where there are no fit data.
    public func evaluate(recovered state: Variant, samples: [Int], expansions: [Unit?]) throws
        -> [SampleScores]
    {
        try prepare(for: [state.mask] + expansions.compactMap { $0.map { Mask([$0]) } })
        return try expansions.map { unit in
            let variant = unit.map { state.removing($0) } ?? state
            let bySeed = variant.bySeed
            guard bySeed.count == 1 else {
                return SampleScores.mean(
                    of: try bySeed.map {
                        try scores(samples, mask: $0.mask, parameters: refit($0)?.parameters)
                    }
                )
            }
            guard unit != nil, let parameters = try refit(variant, from: state)?.parameters else {
                return try scores(
                    samples, mask: variant.mask, parameters: refit(variant)?.parameters)
            }
            // A training changes all weights.
            let shared =
                variant.recovery.training == nil ? try sharedActivations(with: state, samples) : nil
            let first = shared.map { firstDifference(variant, state, $0.model) } ?? 0
            return try scores(
                samples, mask: variant.mask, parameters: parameters,
                sharing: shared.map { SharedSteps(activations: $0, count: first) })
        }
    }

    /// What a block's expansions share with their state: the values at the narrow places of the model, with the state's weights.
    /// `nil` the first time that they are asked for, since a single expansion gains nothing by them, and where they take too
    /// much memory.
    private func sharedActivations(with state: Variant, _ samples: [Int]) throws -> Activations? {
        return try network.shared.activations(of: state, samples: samples, budget: keptBytes / 4) {
            let inputs = try network.inputs(samples, of: dataset)
            let model = try network.specialisation(
                for: inputs, refit(state)?.parameters ?? network.parameters)
            let schedule = Schedule(model, mask: network.classes.canonical(state.mask), wanted: outputs)
            let narrows = schedule.narrows(in: model).union(graph.inputs.map(\.value))
            var activations = Activations(model, inputs: inputs, means: means)
            try activations.compute(schedule) { narrows.contains($0) }
            return activations.detached { narrows.contains($0) }
        }
    }

    /// The first step that gives something else for an expansion than for its state.
    private func firstDifference(_ variant: Variant, _ state: Variant, _ model: Specialisation) -> Int {
        variant.recovery.isNone
            ? model.firstDifference(Cuts(variant.mask, in: graph), Cuts(state.mask, in: graph))
            : network.recoveries?.firstDifference(variant, state) ?? 0
    }

    /// The weights of a variant: those that it starts from, and what its recovery makes of them. `nil` where they are the
    /// model's own.
    ///
    /// - Parameter state: the variant that it is an expansion of, if it is one.
    /// - Throws: `EngineError` that names the node that failed, or where there are no fit data, or not the weights.
    public func refit(_ variant: Variant, from state: Variant? = nil) throws -> Refit? {
        guard !variant.recovery.isNone, !variant.mask.isEmpty else {
            return try variant.weights.map { try network.startingWeights.entry($0).refit }
        }
        try prepare(for: [variant.mask])
        guard let recoveries = network.recoveries else {
            throw EngineError.data("a recovery needs data to fit on")
        }
        return try recoveries.refit(variant, from: state, means: means, budget: keptBytes / 2)
    }
}

extension SampleScores {
    /// The means of the losses of several trainings of a mask, and the correct predictions of the first.
    fileprivate static func mean(of scores: [SampleScores]) -> SampleScores {
        SampleScores(
            losses: scores[0].losses.indices.map { sample in
                Float(scores.reduce(0.0) { $0 + Double($1.losses[sample]) } / Double(scores.count))
            }, correct: scores[0].correct)
    }
}

extension Specialisation {
    /// The first step that reads something else under one mask than under another.
    fileprivate func firstDifference(_ left: Cuts, _ right: Cuts) -> Int {
        let nodes = left.vertices(otherThan: right)
        return steps.firstIndex { nodes.contains($0.vertex) } ?? steps.count
    }
}

/// What the expansions of the state in work share on each block.
final class SharedActivations {
    private var state: Variant?
    /// By block; `nil` for a block that was asked for once.
    private var known: [[Int]: Activations?] = [:]

    /// Lets go of all.
    func forget() { (state, known) = (nil, [:]) }

    /// What the expansions of a state share on a block, from the second time on that it is asked for.
    func activations(
        of state: Variant, samples: [Int], budget: Int, compute: () throws -> Activations
    ) rethrows -> Activations? {
        if self.state != state { (self.state, known) = (state, [:]) }
        guard let found = known[samples] else {
            known[samples] = .some(nil)
            return nil
        }
        if let found { return found }
        let bytes = known.values.reduce(0) { $0 + ($1?.tensors.reduce(0) { $0 + $1.byteCount } ?? 0) }
        guard bytes < budget else { return nil }
        let made = try compute()
        known[samples] = made
        return made
    }
}

/// What recoveries made on some fit data.
final class Recoveries {
    /// The content hash of the fit data.
    let name: [UInt8]
    private unowned let network: Network
    private let data: FitData
    private let loss: LossDescription
    /// By the recovery and the weights that it starts from; of those that start from others than the model's the last alone.
    private var refitters: [Start: Refitter] = [:]
    private var refits: [Variant: (refit: Refit, lastUse: Int)] = [:]
    private var clock = 0

    private struct Start: Hashable {
        let weights: WeightsID?
        let recovery: Recovery

        init(_ variant: Variant) { (weights, recovery) = (variant.weights, variant.recovery) }
    }

    init(_ network: Network, _ data: FitData, name: [UInt8], loss: LossDescription) {
        (self.network, self.data, self.name, self.loss) = (network, data, name, loss)
    }

    /// Lets go of all that was fitted: it was with other means.
    func forget() {
        refitters = [:]
        refits = [:]
    }

    /// The first step that gives something else for one variant than for another.
    func firstDifference(_ variant: Variant, _ state: Variant) -> Int {
        refitters[Start(variant)]?.firstDifference(variant.mask, state.mask) ?? 0
    }

    /// The refitted weights of a variant, as they were kept or made anew.
    func refit(_ variant: Variant, from state: Variant?, means: Means, budget: Int) throws -> Refit {
        clock += 1
        if let known = refits[variant]?.refit {
            refits[variant]?.lastUse = clock
            return known
        }
        let own = try variant.weights.map { try network.startingWeights.entry($0) }
        let refit: Refit
        if let training = variant.recovery.training {
            let start = Variant(
                variant.mask, weights: variant.weights, recovery: variant.recovery.inClosedForm)
            let state = state.map {
                Variant($0.mask, weights: $0.weights, recovery: $0.recovery.inClosedForm)
            }
            refit = try network.trained(
                variant.mask, by: training, on: data, loss, means: means,
                from: start.recovery.isNone
                    ? own?.refit : self.refit(start, from: state, means: means, budget: budget))
        } else {
            let start = Start(variant)
            if start.weights != nil, refitters[start] == nil {
                refitters = refitters.filter { $0.key.weights == nil }
            }
            let refitter =
                try refitters[start]
                ?? Refitter(network, data, variant.recovery, means: means, from: own, budget: budget)
            refitters[start] = refitter
            refit = try refitter.refit(
                variant.mask, from: state?.mask, known: state.flatMap { refits[$0]?.refit })
        }
        refits[variant] = (refit, clock)
        // The variant in work and its state come again at once, others rarely.
        while refits.count > 2, refits.values.reduce(0, { $0 + $1.refit.byteCount }) > budget / 4,
            let oldest = refits.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            refits[oldest.key] = nil
        }
        return refit
    }
}
