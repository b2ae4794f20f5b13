internal import ComputationGraph
internal import Datasets
internal import Work

/// What is computed next where expansions are refitted before they are measured.
///
/// Whoever measures a block of an expansion has to refit it first, which costs more than the block. So a worker stays with the
/// expansions that it has fitted, and begins another one when nothing of them is left. Nothing here has a say in the result.
extension LevelRace {
    /// Whether expansions are refitted.
    var isRecovered: Bool { fitData != nil }

    /// The next block of an expansion, or `nil` when all that is likely needed is with others.
    ///
    /// - Parameters:
    ///   - admits: whether a shard's blocks may be handed out to whoever asks.
    ///   - suits: whether nobody else is known to have fitted the expansion of a locality.
    mutating func nextRecovered(admits: (Int) -> Bool, suits: (UInt64) -> Bool) -> RaceTask? {
        let limit = inFlight > 0 ? likelyLimit() : .infinity
        var best: (index: Int, block: Int, order: (Int, Double, Double))?
        for index in running where standings[index].priority <= limit {
            let parent = standings[index].parent
            for shard in 0..<division.sharding.shards where admits(shard) {
                guard let block = entrants[index].nextBlock(of: shard, in: visits[parent]) else { continue }
                let isSuited = suits(locality(of: index, shard: shard))
                guard isSuited || inFlight == 0 else { continue }
                let isBegun = entrants[index].isHeardOf || inFlightCount(index) > 0
                let order = (
                    isSuited ? (isBegun ? 0 : 1) : 2, standings[index].priority,
                    entrants[index].estimate ?? 0
                )
                if best.map({ order < $0.order }) ?? true { best = (index, block, order) }
            }
        }
        guard let best else { return nil }
        return handOut([best.index], best.block, parent: standings[best.index].parent)
    }

    /// Items of one expansion and shard go to whoever has refitted it.
    func locality(of expansion: Int, shard: Int) -> UInt64 {
        localities[expansion].inShard(shard)
    }

    /// What an item of an expansion costs: the first one refits it.
    func recoveredCost(of expansion: Int) -> WorkCost {
        let isBegun = entrants[expansion].isHeardOf
        return WorkCost(scale: isBegun ? "losses after recovery" : "recovery", amount: 1)
    }
}

/// The numbers under which workers keep what they refitted of a variant, one for each shard that they measure
/// (FNV-1a: Fowler, Noll, Vo). Written once from the variant's text, which is long.
struct VariantLocality: Sendable {
    private let hash: UInt64

    init(_ variant: Variant) {
        hash = variant.description.utf8.reduce(0xCBF2_9CE4_8422_2325) { VariantLocality.step($0, UInt64($1)) }
    }

    func inShard(_ shard: Int) -> UInt64 { VariantLocality.step(hash, UInt64(shard)) }

    private static func step(_ hash: UInt64, _ number: UInt64) -> UInt64 {
        (hash ^ number) &* 0x100_0000_01B3
    }
}
