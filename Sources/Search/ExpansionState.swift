internal import ComputationGraph
internal import Datasets

/// Deliberate mistakes, to show that tests see them.
package enum RaceDefect: String, Sendable, CaseIterable {
    case foldsTwice, sumsInOrderOfArrival
}

/// An expansion in the race: which of its blocks are known, and what follows for its total.
struct ExpansionState: Sendable {
    enum Status: Sendable { case running, finished, dropped }
    enum BlockStatus: UInt8 { case open, inFlight, known }

    let expansion: Expansion
    /// What a surrogate predicts of the total; `nil` for no prediction.
    let estimate: Double?
    private(set) var status: Status = .running
    /// Σ weight · loss of each block, canonical order; 0 for blocks that are not known.
    private var subtotals: CanonicalSum
    /// The sum in order of arrival, which is one of the deliberate mistakes.
    private var arrivals: Double?
    /// Read in place where many expansions are looked through: a method of an entrant in an array gets a copy of it.
    private(set) var blocks: [BlockStatus]
    /// The labels that each known block misses, where that matters; empty until one does.
    private var blockMisses: [Int] = []
    /// The labels that the known blocks miss.
    private(set) var misses = 0
    private var scores: [SampleScores?]
    private var known = LossExtrapolation.Part()
    private var inFlight = LossExtrapolation.Part()
    /// By what multiple of the spread its loss on a block likely lies above the parent's; infinite once a loss is no number.
    private(set) var growth = 0.0
    /// Per shard, where in the order of visits the next block to hand out is to be looked for.
    private var cursors: [Int]

    init(_ expansion: Expansion, estimate: Double?, visits: VisitOrder, forecast: LossExtrapolation) {
        self.expansion = expansion
        self.estimate = estimate
        let count = visits.rank.count
        subtotals = CanonicalSum(count: count)
        blocks = [BlockStatus](repeating: .open, count: count)
        scores = [SampleScores?](repeating: nil, count: count)
        cursors = [Int](repeating: 0, count: visits.ofShard.count)
        growth = forecast.growth(known: known, sum: 0, estimate: estimate)
    }

    var blockCount: Int { blocks.count }
    var knownCount: Int { known.blocks }
    var inFlightCount: Int { inFlight.blocks }
    /// The canonical-order sum of the subtotals: a lower bound of the total, and in the end the total.
    var partialSum: Double { arrivals ?? subtotals.total }
    /// Whether nothing but waiting for the first result tells more of it.
    var isUnheardOf: Bool { known.blocks == 0 && inFlight.blocks > 0 && estimate == nil }

    /// Whether something tells what to expect of it.
    var isHeardOf: Bool { known.blocks > 0 || estimate != nil }

    func isKnown(_ block: Int) -> Bool { blocks[block] == .known }

    /// The partial sum with what the blocks in flight will likely add.
    func expectedSum(_ forecast: LossExtrapolation) -> Double {
        partialSum + forecast.sum(of: inFlight, growth: growth)
    }

    /// What all blocks will likely sum up to.
    func expectedTotal(_ forecast: LossExtrapolation) -> Double {
        forecast.total(known: known, sum: partialSum, growth: growth)
    }

    /// The first block of a shard, in the order of visits, that is neither known nor in flight.
    mutating func nextBlock(of shard: Int, in visits: VisitOrder) -> Int? {
        let order = visits.ofShard[shard]
        while cursors[shard] < order.count, blocks[order[cursors[shard]]] != .open { cursors[shard] += 1 }
        return cursors[shard] < order.count ? order[cursors[shard]] : nil
    }

    mutating func handOut(_ block: Int, _ forecast: LossExtrapolation) {
        guard blocks[block] == .open else { return }
        blocks[block] = .inFlight
        inFlight.add(block, of: forecast)
    }

    /// Makes a block that was handed out available again.
    mutating func takeBack(_ block: Int, shard: Int, _ forecast: LossExtrapolation) {
        guard blocks[block] == .inFlight else { return }
        blocks[block] = .open
        inFlight.remove(block, of: forecast)
        cursors[shard] = 0
    }

    /// Takes the scores of a block; a block that is known already changes nothing. What comes after the expansion was
    /// given up is counted as known, for it was evaluated, and changes nothing else.
    ///
    /// - Returns: whether they were new.
    mutating func fold(
        _ result: SampleScores, subtotal: Double, misses: Int, block: Int, _ forecast: LossExtrapolation,
        defect: RaceDefect? = nil
    ) -> Bool {
        guard blocks[block] != .known || defect == .foldsTwice else { return false }
        if blocks[block] == .inFlight { inFlight.remove(block, of: forecast) }
        blocks[block] = .known
        known.add(block, of: forecast)
        subtotals.set(subtotal, at: block)
        if misses > 0 {
            if blockMisses.isEmpty { blockMisses = [Int](repeating: 0, count: blockCount) }
            blockMisses[block] = misses
            self.misses += misses
        }
        if defect == .sumsInOrderOfArrival { arrivals = (arrivals ?? 0) + subtotal }
        guard status == .running else { return true }
        scores[block] = result
        growth = forecast.growth(known: known, sum: partialSum, estimate: estimate)
        if knownCount == blockCount { status = .finished }
        return true
    }

    /// Gives the expansion up; its scores are not needed any more.
    mutating func drop() {
        status = .dropped
        scores = []
    }

    /// Lets go of the per-sample scores of a finished expansion that is no longer among the best.
    mutating func forgetScores() { scores = [] }

    /// How many blocks, in the order of visits, it takes until the sum and the labels missed alone show `exceeds`; all that
    /// were evaluated if none does.
    func blocksNeeded(in visits: VisitOrder, until exceeds: (Double, Int) -> Bool) -> Int {
        var sum = CanonicalSum(count: blockCount)
        var missed = 0
        for (count, block) in visits.order.enumerated() {
            guard isKnown(block) else { return knownCount }
            sum.set(subtotals.entries[block], at: block)
            if !blockMisses.isEmpty { missed += blockMisses[block] }
            if exceeds(sum.total, missed) { return count + 1 }
        }
        return knownCount
    }

    /// The losses of all samples, and the number of correct predictions, of a finished expansion.
    func collected(_ blocks: BlockList, samples: Int) -> (losses: [Float], correct: Int?) {
        var losses = [Float](repeating: 0, count: samples)
        var correct: Int?
        for (block, score) in zip(blocks.samples, scores) {
            guard let score else { continue }
            for (sample, loss) in zip(block, score.losses) { losses[sample] = loss }
            if !score.correct.isEmpty { correct = (correct ?? 0) + score.correct.reduce(0) { $0 + Int($1) } }
        }
        return (losses, correct)
    }
}

/// The order in which the blocks of a parent are visited: hardest first.
struct VisitOrder: Sendable {
    /// All blocks.
    let order: [Int]
    /// The blocks of each shard.
    let ofShard: [[Int]]
    /// The place of each block in `order`.
    let rank: [Int]

    init(_ parent: FrontierState, shards: Int) {
        let subtotals = parent.subtotals
        let order = subtotals.indices.sorted { left, right in
            subtotals[left] != subtotals[right] ? subtotals[left] > subtotals[right] : left < right
        }
        var rank = [Int](repeating: 0, count: order.count)
        var ofShard = [[Int]](repeating: [], count: shards)
        for (place, block) in order.enumerated() {
            rank[block] = place
            ofShard[parent.blocks.ids[block].shard].append(block)
        }
        (self.order, self.rank, self.ofShard) = (order, rank, ofShard)
    }
}
