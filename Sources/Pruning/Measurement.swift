public import ComputationGraph
internal import Engine
internal import Report
public import Search
internal import Work

extension Workload {
    /// The exact loss of a mask, after the recovery that the options name, on the samples in their own order.
    ///
    /// - Parameter observer: told how far it is.
    /// - Throws: `GraphError` when the mask names no candidate or cuts an output off.
    public func measure(_ mask: Mask, observer: (any PruneObserver)? = nil) async throws -> State {
        try await measure(variant(mask), observer: observer)
    }

    /// The exact loss of a variant, on the samples in their own order.
    ///
    /// - Parameter observer: told how far it is.
    /// - Throws: `GraphError` when the mask names no candidate or cuts an output off.
    func measure(_ variant: Variant, observer: (any PruneObserver)? = nil) async throws -> State {
        let mask = variant.mask
        try checkRemovable(mask)
        let work = CountedWork(
            mask.isEmpty ? "measuring the unpruned model" : "measuring the pruned model", unit: "blocks",
            total: BlockList(naturalOrder: division).ids.count, observer: observer)
        let local = try runner(progress: { source in
            guard let race = source as? LevelRace else { return }
            work.advanced(to: race.workSoFar.blockEvaluations)
        })
        if let weights = variant.weights { _ = try await local.provide(storedWeights(weights)) }
        let level = Level(
            number: 0, parents: [FrontierState(unmeasured: variant, division)],
            expansions: [Expansion(parent: 0, unit: nil, variant: variant, cost: costs.cost(of: mask))],
            keep: 1,
            baseLoss: 0, objective: .signed)
        let outcome = try await local.run(
            LevelRace(
                level, division: division, usesBounds: false,
                fitData: variant.recovery.isNone || mask.isEmpty ? nil : fit?.content)
        ).outcome()
        guard let state = outcome.best.first else { throw SearchError.baseNotMeasured }
        return state
    }
}

extension Workload {
    /// Writes the model without the edges of `mask`, checked by running it.
    ///
    /// - Parameter variant: the mask's, where others than the options' recovery made its weights.
    ///
    /// - Parameter measured: what was measured of it, if anything was.
    /// - Throws: `NonFiniteError` when it is not finite where the unpruned model is; `MaterialisingError`, which is a defect.
    public func writePruned(
        _ mask: Mask, as variant: Variant? = nil, measured: Evaluation? = nil, to path: String
    ) throws {
        try checkRemovable(mask)
        if let measured, measured.pruned.nonFiniteLosses > measured.base.nonFiniteLosses {
            throw NonFiniteError(subject: "the loss")
        }
        try MaterialisedModel(mask, workload: refitted(variant ?? self.variant(mask))).write(to: path)
    }
}

extension Workload {
    /// Sentences about symbolic dimensions at whose other sizes the model never ran: files keep open what follows from them.
    public func sizeWarnings() throws -> [String] {
        try network.sizeKnowledge(for: dataset).unvaried.map {
            "\($0) is symbolic, but the model ran at no other size that was tried: written files are checked at this size "
                + "alone, and keep what may follow from it"
        }
    }
}

extension Graph {
    /// Checks that every edge of `mask` may be removed, and that together they leave every output its input.
    public func checkRemovable(_ mask: Mask) throws(GraphError) {
        for unit in mask.units { try requireCandidate(unit) }
        try requireCompatible(mask)
        guard Liveness(of: self, under: mask).isConnected else { throw .disconnected(mask) }
    }
}
