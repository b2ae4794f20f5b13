/// How the loss of a parent's expansions is expected to be spread over its blocks.
///
/// An expansion's loss on a block is forecast as the parent's plus a · g, with the same a for all blocks. The spread g
/// is mostly proportional to the parent's own loss: what was hard becomes harder still. A tenth of it is the same for
/// every block, for the loss of an expansion does not fade as fast as the parent's. a follows from the blocks that are
/// known; a surrogate's estimate counts as much as one average block.
///
/// Forecasts decide what is computed first and what is held back, and never what is dropped.
struct LossExtrapolation: Sendable {
    /// The part of the spread that does not depend on the parent's loss. Measured on both examples, with both
    /// cross-entropy and divergence: 0.05 to 0.4 differ little, 0 and 1 are worse.
    private static let evenPart = 0.1

    /// The parent's Σ weight · loss of each block; 0 where it is no finite number.
    let parent: [Double]
    /// g, on average 1.
    let spread: [Double]
    /// The sum of `parent`.
    let parentTotal: Double

    init(_ subtotals: [Double]) {
        let finite = subtotals.map { $0.isFinite ? $0 : 0 }
        let total = finite.reduce(0, +)
        let mean = total / Double(max(1, finite.count))
        parent = finite
        parentTotal = total
        spread = finite.map {
            mean > 0 ? (1 - LossExtrapolation.evenPart) * $0 / mean + LossExtrapolation.evenPart : 1
        }
    }

    /// What is known, or in flight, of an expansion: how much of the parent's loss and of the spread that is.
    struct Part: Sendable {
        private(set) var parent = 0.0
        private(set) var spread = 0.0
        private(set) var blocks = 0

        mutating func add(_ block: Int, of forecast: LossExtrapolation) {
            parent += forecast.parent[block]
            spread += forecast.spread[block]
            blocks += 1
        }

        mutating func remove(_ block: Int, of forecast: LossExtrapolation) {
            blocks -= 1
            guard blocks > 0 else {
                self = Part()
                return
            }
            parent -= forecast.parent[block]
            spread -= forecast.spread[block]
        }
    }

    /// a, from the sum of the known blocks and from an estimate of the total; infinite once a loss is no number.
    func growth(known: Part, sum: Double, estimate: Double?) -> Double {
        guard sum.isFinite else { return .infinity }
        var (excess, spread) = (sum - known.parent, known.spread)
        if let estimate {
            excess += (estimate - parentTotal) / Double(max(1, parent.count))
            spread += 1
        }
        let growth = spread > 0 ? excess / spread : 0
        return growth.isFinite ? growth : 0
    }

    /// What blocks will likely add.
    func sum(of part: Part, growth: Double) -> Double {
        guard part.blocks > 0 else { return 0 }
        guard growth.isFinite else { return .infinity }
        return max(0, part.parent + growth * part.spread)
    }

    /// What all blocks will likely sum up to.
    func total(known: Part, sum: Double, growth: Double) -> Double {
        guard known.blocks < parent.count else { return sum }
        guard growth.isFinite else { return .infinity }
        let (rest, restSpread) = (parentTotal - known.parent, Double(parent.count) - known.spread)
        return sum + max(0, rest + growth * max(0, restSpread))
    }
}
