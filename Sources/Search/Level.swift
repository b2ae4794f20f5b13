public import ComputationGraph

/// A state to be expanded, with the blocks that its expansions are measured on.
public struct FrontierState: Sendable {
    /// What is removed from which weights.
    public let variant: Variant
    /// The blocks in canonical order, each with its samples.
    public let blocks: BlockList
    /// Σ weight · loss of each block under the parent, where it is known: an estimate for its expansions.
    public let subtotals: [Double]

    /// A state before anything is known of it: the data's own order.
    public init(unmeasured variant: Variant = Variant(.empty), _ division: SampleDivision) {
        self.variant = variant
        blocks = BlockList(naturalOrder: division)
        subtotals = [Double](repeating: 0, count: blocks.ids.count)
    }

    /// A state of which no losses are known, whose expansions are measured on blocks.
    public init(unmeasured variant: Variant, like blocks: BlockList) {
        self.variant = variant
        self.blocks = blocks
        subtotals = [Double](repeating: 0, count: blocks.ids.count)
    }

    /// A measured state, whose expansions are measured on `blocks`.
    ///
    /// - Parameter variant: what is expanded in its place, whose losses are about the same.
    public init(
        _ state: State, as variant: Variant? = nil, on blocks: BlockList, _ division: SampleDivision
    ) {
        self.variant = variant ?? state.expanded
        self.blocks = blocks
        subtotals = blocks.samples.map { samples in
            division.subtotal(of: samples.map { state.sampleLosses[$0] }, samples: samples)
        }
    }
}

/// One more removal from one parent.
public struct Expansion: Sendable {
    /// The index of the parent in its level.
    public let parent: Int
    /// The unit that is removed; `nil` to measure the parent itself.
    public let unit: Unit?
    /// The parent's variant with the unit removed.
    public let variant: Variant
    /// What the expanded model costs.
    public let cost: Cost
    /// What its change is divided by; `nil` where changes are compared as they are.
    public let price: Price?
    /// The loss that a surrogate predicts, `nil` for none. It orders the work, whatever it is worth.
    public let estimate: Double?

    /// An expansion of parent number `parent`.
    public init(
        parent: Int, unit: Unit?, variant: Variant, cost: Cost, price: Price? = nil, estimate: Double? = nil
    ) {
        self.parent = parent
        self.unit = unit
        self.variant = variant
        self.cost = cost
        self.price = price
        self.estimate = estimate
    }
}

/// All expansions with the same number of removals, and how many of the best are wanted.
public struct Level: Sendable {
    /// The number of removals that the expansions have.
    public let number: Int
    /// The states that are expanded.
    public let parents: [FrontierState]
    /// Everything that races for the places.
    public let expansions: [Expansion]
    /// How many of the best expansions are wanted: 1 for greedy, the width for a beam.
    public let keep: Int
    /// The loss of the full model; 0 while it is being measured.
    public let baseLoss: Double
    /// What is made small.
    public let objective: Objective
    /// The largest L′ − L that is acceptable.
    public let maximumIncrease: Double
    /// The accuracy that has to be kept; `nil` for any.
    public let accuracyFloor: AccuracyFloor?
    /// Whether an expansion with a loss that is no finite number may be among the best.
    public let acceptsNonFinite: Bool
    /// Whether no level comes after it, so that nothing need be kept for one.
    public let isLast: Bool
    /// The place of the level's work among that of its run: stage 0 belongs to what is computed before a search.
    var stage: Int { number + 1 }
    /// Whether any expansion is refitted before it is measured.
    var isRecovered: Bool { expansions.contains { !$0.variant.recovery.isNone && !$0.variant.mask.isEmpty } }

    /// A level of the search.
    public init(
        number: Int, parents: [FrontierState], expansions: [Expansion], keep: Int, baseLoss: Double,
        objective: Objective, maximumIncrease: Double = .infinity, accuracyFloor: AccuracyFloor? = nil,
        acceptsNonFinite: Bool = true,
        isLast: Bool = false
    ) {
        self.number = number
        self.parents = parents
        self.expansions = expansions
        self.keep = keep
        self.baseLoss = baseLoss
        self.objective = objective
        self.maximumIncrease = maximumIncrease
        self.accuracyFloor = accuracyFloor
        self.acceptsNonFinite = acceptsNonFinite
        self.isLast = isLast
    }
}

/// Some expansions of one state on one block, as the race names them: what an item of its work is about.
struct RaceTask: Sendable, Hashable {
    /// The expansions' indices in the level.
    let expansions: [Int]
    /// The parent's index, and the block's index in its list.
    let parent: Int
    let place: Int
    /// The places in `expansions` of those that may be states of the next level. What they compute is worth keeping;
    /// nothing else follows from it.
    var reuseHints: [Int] = []
}

/// What became of a level.
public struct LevelOutcome: Sendable {
    /// The best expansions, best first; at most as many as were wanted.
    public let best: [State]
    /// The work that was done.
    public let work: WorkCount
    /// Expansions that were dropped unfinished, with the bound that dropped them.
    public let dropped: [(mask: Mask, bound: Double)]
    /// What the loss of each expansion is, as far as it was measured, or will likely be. How far it was measured depends
    /// on the order of arrival: good for estimates, and nothing that a result may rest on.
    public let likely: [LikelyLoss]
}

/// The loss that an expansion has, or likely has.
public struct LikelyLoss: Sendable, Hashable {
    /// The parent state.
    public let state: Variant
    /// The removed unit.
    public let unit: Unit?
    /// The loss.
    public let loss: Double
}

/// How much was evaluated.
public struct WorkCount: Sendable, Hashable, Codable {
    /// Expansions that were tried.
    public var candidates = 0
    /// Evaluations of one expansion on one block.
    public var blockEvaluations = 0
    /// What evaluating every expansion on every block would have taken.
    public var bruteForceBlockEvaluations = 0
    /// What it would have taken for the same data order if the best totals had been known in advance: the oracle lower bound.
    public var oracleBlockEvaluations = 0
    /// Tasks that were folded.
    public var tasks = 0

    /// The documented keys.
    private enum CodingKeys: String, CodingKey {
        case candidates, blockEvaluations, bruteForceBlockEvaluations
        case oracleBlockEvaluations = "clairvoyantBlockEvaluations"
        case tasks
    }

    /// Nothing yet.
    public init() {}

    /// The sum of two counts.
    public static func + (left: WorkCount, right: WorkCount) -> WorkCount {
        var sum = left
        sum.candidates += right.candidates
        sum.blockEvaluations += right.blockEvaluations
        sum.bruteForceBlockEvaluations += right.bruteForceBlockEvaluations
        sum.oracleBlockEvaluations += right.oracleBlockEvaluations
        sum.tasks += right.tasks
        return sum
    }
}
