public import ComputationGraph

/// A variant whose loss is known exactly.
public struct State: Sendable {
    /// What is removed from which weights.
    public let variant: Variant
    /// The last unit removed; `nil` for the full model.
    public let unit: Unit?
    /// What was removed in the same step as `unit`, in canonical order.
    public var alongside: [Unit] = []
    /// The weighted mean of the per-sample losses; infinite when one of them is no number.
    public private(set) var loss: Double
    /// The value of the objective; 0 for the full model.
    public let objective: Double
    /// Correct predictions, over all samples; `nil` without labels.
    public private(set) var correct: Int?
    /// The loss of every sample; empty once the next level is done.
    public private(set) var sampleLosses: [Float]
    /// How many samples have a loss that is no finite number.
    public private(set) var nonFiniteLosses: Int
    /// What the pruned model costs.
    public let cost: Cost
    /// The loss before the recovery; `nil` where nothing is recovered.
    public var lossAtCut: Double?
    /// The mean of the losses of a training's repeats, by which the state was chosen: `loss` is that of the first, whose weights
    /// stay. `nil` where nothing is repeated.
    public var meanLoss: Double?
    /// The weights that the recovery made, where those of expansions start from them; `nil` where they start from the model's
    /// own.
    public var weights: WeightsID?
    /// What the removal was ranked by, beside the objective.
    let price: Price?

    /// A state with its measurements.
    public init(
        variant: Variant, unit: Unit?, loss: Double, objective: Double, correct: Int?, sampleLosses: [Float],
        cost: Cost, price: Price? = nil,
        nonFiniteLosses: Int? = nil
    ) {
        self.variant = variant
        self.unit = unit
        self.loss = loss
        self.objective = objective
        self.correct = correct
        self.sampleLosses = sampleLosses
        self.cost = cost
        self.price = price
        self.nonFiniteLosses = nonFiniteLosses ?? sampleLosses.count { !$0.isFinite }
    }

    /// What is removed.
    public var mask: Mask { variant.mask }

    /// The state with what one of its training's repeats came to.
    func measured(as repeated: State) -> State {
        var state = self
        state.meanLoss = loss
        (state.loss, state.correct) = (repeated.loss, repeated.correct)
        (state.sampleLosses, state.nonFiniteLosses) = (repeated.sampleLosses, repeated.nonFiniteLosses)
        return state
    }

    /// What expansions are one more removal from: the variant with the weights that its recovery made.
    public var expanded: Variant {
        weights.map { Variant(mask, weights: $0, recovery: variant.recovery) } ?? variant
    }

    /// The variant as a file holds it: where its weights are known, nothing is left to recover.
    public var recovered: Variant { weights.map { Variant(mask, weights: $0) } ?? variant }
}

extension State {
    /// What it is ranked by first.
    var value: Double { price?.value(of: objective) ?? objective }
}

/// The place of an expansion in the ranking: by value (the objective's, or that for what is saved), then objective, then
/// smaller cost, then canonical order.
struct Rank: Comparable {
    let value: Double
    let objective: Double
    let cost: Cost
    let mask: Mask

    init(objective: Double, price: Price?, cost: Cost, mask: Mask) {
        value = price?.value(of: objective) ?? objective
        self.objective = objective
        self.cost = cost
        self.mask = mask
    }

    static func < (left: Rank, right: Rank) -> Bool {
        if left.value != right.value { return left.value < right.value }
        if left.objective != right.objective { return left.objective < right.objective }
        if left.cost != right.cost { return left.cost < right.cost }
        return left.mask < right.mask
    }
}
