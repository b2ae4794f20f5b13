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
    }

    /// The samples that `FitData.encode` wrote.
    ///
    /// - Throws: `DatasetError` for bytes that are none.
    public func fitData(encoded bytes: [UInt8]) throws -> FitData {
        try FitData(encoded: bytes, for: graph, axes: dataset.inputAxes)
    }

    /// The losses of `samples` for each of `expansions` of `state`, each with the weights that its recovery makes.
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
            guard unit != nil, let parameters = try refit(variant, from: state)?.parameters else {
                return try scores(
                    samples, mask: variant.mask, parameters: refit(variant)?.parameters)
            }
            // A training changes all weights.
            let shared =
                variant.recovery.training == nil ? try sharedActivations(with: state, samples) : nil
            let first = network.recoveries?.firstDifference(variant, state) ?? 0
            return try scores(
                samples, mask: variant.mask, parameters: parameters,
                sharing: shared.map { SharedSteps(activations: $0, count: first) })
        }
    }

    /// What a block's expansions share with their state: the values at the narrow places of the model, with the state's weights.
    /// `nil` the first time that they are asked for, since a single expansion gains nothing by them, and where they take too
    /// much memory.
    private func sharedActivations(with state: Variant, _ samples: [Int]) throws -> Activations? {
        guard let recoveries = network.recoveries else { return nil }
        return try recoveries.shared(with: state, samples: samples, budget: keptBytes / 4) {
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

    /// What a variant's recovery makes of the weights; `nil` where it changes nothing.
    ///
    /// - Parameter state: the variant that it is an expansion of, if it is one.
    /// - Throws: `EngineError` that names the node that failed, or where there are no fit data.
    public func refit(_ variant: Variant, from state: Variant? = nil) throws -> Refit? {
        guard !variant.recovery.isNone, !variant.mask.isEmpty else { return nil }
        try prepare(for: [variant.mask])
        guard let recoveries = network.recoveries else {
            throw EngineError.data("a recovery needs data to fit on")
        }
        return try recoveries.refit(variant, from: state, means: means, budget: keptBytes / 2)
    }
}

/// What recoveries made on some fit data.
final class Recoveries {
    /// The content hash of the fit data.
    let name: [UInt8]
    private unowned let network: Network
    private let data: FitData
    private let loss: LossDescription
    private var refitters: [Recovery: Refitter] = [:]
    private var refits: [Variant: (refit: Refit, lastUse: Int)] = [:]
    private var clock = 0
    /// The state whose expansions are measured, and what they share, by block; `nil` for a block that was asked for once.
    private var sharedState: Variant?
    private var shared: [[Int]: Activations?] = [:]

    init(_ network: Network, _ data: FitData, name: [UInt8], loss: LossDescription) {
        (self.network, self.data, self.name, self.loss) = (network, data, name, loss)
    }

    /// Lets go of all that was fitted: it was with other means.
    func forget() {
        refitters = [:]
        refits = [:]
        shared = [:]
    }

    /// The first step that gives something else for one variant than for another.
    func firstDifference(_ variant: Variant, _ state: Variant) -> Int {
        refitters[variant.recovery]?.firstDifference(variant.mask, state.mask) ?? 0
    }

    /// What the expansions of a state share on a block, from the second time on that it is asked for.
    func shared(
        with state: Variant, samples: [Int], budget: Int, compute: () throws -> Activations
    ) rethrows -> Activations? {
        if sharedState != state { (sharedState, shared) = (state, [:]) }
        guard let known = shared[samples] else {
            shared[samples] = .some(nil)
            return nil
        }
        if let known { return known }
        let bytes = shared.values.reduce(0) { $0 + ($1?.tensors.reduce(0) { $0 + $1.byteCount } ?? 0) }
        guard bytes < budget else { return nil }
        let made = try compute()
        shared[samples] = made
        return made
    }

    /// The refitted weights of a variant, as they were kept or made anew.
    func refit(_ variant: Variant, from state: Variant?, means: Means, budget: Int) throws -> Refit {
        clock += 1
        if let known = refits[variant]?.refit {
            refits[variant]?.lastUse = clock
            return known
        }
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
                    ? nil : self.refit(start, from: state, means: means, budget: budget))
        } else {
            let refitter =
                try refitters[variant.recovery]
                ?? Refitter(network, data, variant.recovery, means: means, budget: budget)
            refitters[variant.recovery] = refitter
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
