public import ComputationGraph

/// A search that measures only the expansions that look most promising, and checks on the rest.
public struct Screening: Sendable, Hashable, Codable {
    /// What tells which are promising.
    public enum Criterion: String, Sendable, Hashable, Codable {
        /// A surrogate's prediction.
        case surrogate
        /// The exact loss before the recovery.
        case lossAtCut
    }

    /// How many expansions of each state are measured.
    public var perState: Int
    /// How many of a level's other expansions are drawn at random and measured in full, after the level.
    public var audits: Int
    /// Seeds the draw.
    public var seed: UInt64
    private var by: Criterion?
    /// Where a training follows, trainings of fewer steps, ascending: after each of them half of a state's expansions go on.
    /// Left out where there are none.
    public var halving: [Int]?

    /// What tells which expansions are promising.
    public var criterion: Criterion { by ?? .surrogate }

    /// - Parameters:
    ///   - perState: at least 1.
    ///   - audits: not negative; 0 leaves what was missed unknown.
    ///   - halving: the steps of the trainings after which half go on.
    public init(
        perState: Int, audits: Int = 8, seed: UInt64 = 0, criterion: Criterion = .surrogate,
        halving: [Int] = []
    ) {
        self.halving = halving.isEmpty ? nil : halving
        // Left out where it is what older programs did, so that their runs can be resumed.
        by = criterion == .surrogate ? nil : criterion
        self.perState = perState
        self.audits = audits
        self.seed = seed
    }
}

/// What screening left out of a level, and what an audit of it showed.
public struct ScreenedLevel: Sendable, Hashable {
    /// The number of removals.
    public let number: Int
    /// Expansions that were in the race.
    public let measured: Int
    /// Expansions that were left out, as the surrogate said.
    public let skipped: Int
    /// Of those left out, how many were drawn and measured in full.
    public let audited: Int
    /// Of those drawn, how many would have been kept.
    public let missed: Int
    /// How much better the best of those drawn is than the best that was kept; 0 when none is better, `nil` when there is
    /// nothing to compare.
    public let regret: Double?
    /// The best of those drawn, if it is better than the best that was kept.
    public let better: Mask?
    /// How well each rung of the recovery orders what the next one makes of the expansions that go on to it.
    public internal(set) var rungs: [RungAgreement] = []

    init(
        number: Int, measured: Int, skipped: Int, audited: Int, audit: [State], kept: [State], keep: Int
    ) {
        self.number = number
        self.measured = measured
        self.skipped = skipped
        self.audited = audited
        let worst = kept.count < keep ? nil : kept.last?.rank
        missed = audit.count { state in worst.map { state.rank < $0 } ?? true }
        guard let best = audit.first, let chosen = kept.first else {
            regret = audited == 0 || kept.isEmpty ? nil : 0
            better = nil
            return
        }
        let difference = chosen.objective - best.objective
        regret = best.objective < chosen.objective ? difference : 0
        better = best.rank < chosen.rank ? best.mask : nil
    }

    /// The share of those left out that would have been kept, as the draw shows it. When all of them were drawn it is
    /// known.
    public func missedShare(confidence: Double = 0.95) -> BinomialInterval? {
        skipped == 0 || audited == 0
            ? nil : BinomialInterval(found: missed, of: audited, confidence: confidence)
    }
}

/// How well what is known after a rung of a recovery orders what the next one makes of the expansions that go on to it.
public struct RungAgreement: Sendable, Hashable {
    /// The rung, e.g. `at the cut`.
    public let from: String
    /// The one after it, e.g. `train:50`.
    public let to: String
    /// The expansions that were measured in full after both.
    public let compared: Int
    /// Kendall's τ-b of both values; `nil` where it is not defined.
    public let kendall: Double?
    /// How much better the best after the second is than that which the first would have chosen; `nil` where there is nothing to
    /// compare.
    public let regret: Double?

    init(
        from first: (name: String, values: [Mask: Double]), to second: (name: String, values: [Mask: Double])
    ) {
        (from, to) = (first.name, second.name)
        let masks = second.values.keys.filter { mask in
            second.values[mask]?.isFinite ?? false && first.values[mask]?.isFinite ?? false
        }.sorted()
        let (guesses, truths) = (
            masks.compactMap { first.values[$0] }, masks.compactMap { second.values[$0] }
        )
        compared = masks.count
        kendall = RankCorrelation.kendall(guesses, truths)
        let chosen = masks.indices.min { (guesses[$0], masks[$0]) < (guesses[$1], masks[$1]) }
        regret = chosen.flatMap { chosen in truths.min().map { truths[chosen] - $0 } }
    }
}

/// What screening left out of a whole search.
public struct ScreeningReport: Sendable, Hashable {
    /// The probability with which each interval, and that of the whole, covers the truth.
    public static let confidence = 0.95
    /// What was asked for.
    public let settings: Screening
    /// Level by level.
    public let levels: [ScreenedLevel]

    /// A report of screened levels.
    public init(_ settings: Screening, levels: [ScreenedLevel]) {
        self.settings = settings
        self.levels = levels
    }

    /// The sum of the measured regrets.
    public var regret: Double { levels.reduce(0) { $0 + ($1.regret ?? 0) } }

    /// How many of all expansions left out would have been kept: the levels' intervals, each widened so that all hold at
    /// once (Bonferroni's correction), added up. A level without an audit counts from none to all.
    public var missed: ClosedRange<Double> {
        let open = levels.filter { $0.skipped > 0 }
        let confidence = 1 - (1 - ScreeningReport.confidence) / Double(max(1, open.count))
        var (low, high) = (0.0, 0.0)
        for level in open {
            let skipped = Double(level.skipped)
            if level.audited == level.skipped {
                low += Double(level.missed)
                high += Double(level.missed)
            } else if let share = level.missedShare(confidence: confidence) {
                low += max(Double(level.missed), share.lower * skipped)
                high += min(skipped - Double(level.audited - level.missed), share.upper * skipped)
            } else {
                high += skipped
            }
        }
        return low...max(low, high)
    }
}

extension State {
    fileprivate var rank: Rank { Rank(objective: objective, price: price, cost: cost, mask: mask) }
}
