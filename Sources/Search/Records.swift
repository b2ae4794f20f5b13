public import ComputationGraph

/// A state as a run's journal keeps it: everything but its per-sample losses.
public struct StateRecord: Codable, Equatable, Sendable {
    /// The variant's text.
    public let variant: String
    /// The text of the last unit removed; `nil` for the full model.
    public let unit: String?
    /// The weighted mean of the per-sample losses.
    public let loss: Double
    /// The value of the objective.
    public let objective: Double
    /// Correct predictions, over all samples; `nil` without labels.
    public let correct: Int?
    /// How many samples have a loss that is no finite number.
    public let nonFiniteLosses: Int
    /// What the pruned model costs.
    public let cost: Cost
    /// The loss before the recovery; `nil` where nothing is recovered.
    public let lossAtCut: Double?
    /// The texts of what was removed in the same step; `nil` for nothing.
    public let alongside: [String]?
    /// The mean of the losses of a training's repeats; `nil` where nothing is repeated.
    public let meanLoss: Double?
    /// SHA-256 and size of the weights that the recovery made, `HASH:BYTES`; `nil` where they follow from the variant in
    /// closed form, or are the model's own.
    public let weights: String?

    /// The record of a state.
    public init(_ state: State) {
        variant = state.variant.description
        unit = state.unit?.description
        loss = state.loss
        objective = state.objective
        correct = state.correct
        nonFiniteLosses = state.nonFiniteLosses
        cost = state.cost
        lossAtCut = state.lossAtCut
        alongside = state.alongside.isEmpty ? nil : state.alongside.map(\.description)
        weights = state.weights?.description
        meanLoss = state.meanLoss
    }

    /// The state; `nil` for a record whose texts are no variant, unit or weights.
    public var state: State? {
        guard let variant = Variant(variant), unit.map({ Unit($0) != nil }) ?? true,
            weights.map({ WeightsID($0) != nil }) ?? true
        else { return nil }
        var state = State(
            variant: variant, unit: unit.flatMap { Unit($0) }, loss: loss, objective: objective,
            correct: correct, sampleLosses: [], cost: cost, nonFiniteLosses: nonFiniteLosses)
        state.lossAtCut = lossAtCut
        state.alongside = (alongside ?? []).compactMap { Unit($0) }
        state.weights = weights.flatMap { WeightsID($0) }
        state.meanLoss = meanLoss
        return state
    }
}

/// What a level took, as a run's journal keeps it.
public struct LevelNotes: Codable, Equatable, Sendable {
    /// An expansion that was given up, with the bound that proved it hopeless.
    public struct Dropped: Codable, Equatable, Sendable {
        /// The mask.
        public let mask: Mask
        /// The bound.
        public let bound: Double
    }

    /// What it took to find the states.
    public let work: WorkCount
    /// In the masks' order.
    public let dropped: [Dropped]

    /// The notes on a level's outcome.
    public init(_ outcome: LevelOutcome) {
        work = outcome.work
        dropped = outcome.dropped.map { Dropped(mask: $0.mask, bound: $0.bound) }.sorted { $0.mask < $1.mask }
    }
}

/// How a run ended, as its journal keeps it.
public struct RunOutcome: Codable, Equatable, Sendable {
    /// The states from the first removal to the result.
    public let path: [StateRecord]
    /// Wall time of the run, seconds.
    public let seconds: Double
    /// How many workers took part.
    public let workers: Int

    /// An outcome; the states' per-sample losses are not kept.
    public init(path: [State], seconds: Double, workers: Int) {
        self.path = path.map(StateRecord.init)
        self.seconds = seconds
        self.workers = workers
    }
}
