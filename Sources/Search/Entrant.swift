internal import ComputationGraph
internal import Datasets

/// Deliberate mistakes, to show that tests see them.
package enum RaceDefect: String, Sendable, CaseIterable {
    case foldsTwice, sumsInOrderOfArrival
}

/// An expansion in the race: which of its blocks are known, and what follows for its total.
struct Entrant {
    enum Status { case running, finished, dropped }

    let expansion: Expansion
    private(set) var status: Status = .running
    /// Σ weight · loss of each block, canonical order; 0 for blocks that are not known.
    private var subtotals: [Double]
    private(set) var isKnown: [Bool]
    private var isInFlight: [Bool]
    private var scores: [SampleScores?]
    private(set) var knownCount = 0
    /// The canonical-order sum of the subtotals: a lower bound of the total, and in the end the total.
    private(set) var partialSum = 0.0
    /// What the blocks in flight will likely add.
    private(set) var expectedSum = 0.0
    /// Where in the visiting order the next block to hand out is to be looked for.
    private var cursor = 0

    init(_ expansion: Expansion, blocks: Int) {
        self.expansion = expansion
        subtotals = [Double](repeating: 0, count: blocks)
        isKnown = [Bool](repeating: false, count: blocks)
        isInFlight = isKnown
        scores = [SampleScores?](repeating: nil, count: blocks)
    }

    /// The first block in `order` that is neither known nor in flight and that `admits` lets through.
    mutating func nextBlock(in order: [Int], admits: (Int) -> Bool) -> Int? {
        while cursor < order.count, isKnown[order[cursor]] || isInFlight[order[cursor]] { cursor += 1 }
        return order[cursor...].first { !isKnown[$0] && !isInFlight[$0] && admits($0) }
    }

    mutating func handOut(_ block: Int, expecting sum: Double) {
        isInFlight[block] = true
        expectedSum += sum.isFinite ? sum : 0
    }

    /// Makes a block that was handed out available again.
    mutating func takeBack(_ block: Int, expecting sum: Double) {
        guard isInFlight[block] else { return }
        isInFlight[block] = false
        expectedSum -= sum.isFinite ? sum : 0
        cursor = 0
    }

    /// Takes the scores of a block; a block that is known already changes nothing. What comes after the expansion was
    /// given up is counted as known, for it was evaluated, and changes nothing else.
    ///
    /// - Returns: whether they were new.
    mutating func fold(
        _ result: SampleScores, subtotal: Double, block: Int, expecting sum: Double, defect: RaceDefect? = nil
    ) -> Bool {
        takeBack(block, expecting: sum)
        guard !isKnown[block] || defect == .foldsTwice else { return false }
        isKnown[block] = true
        knownCount += 1
        subtotals[block] = subtotal
        guard status == .running else { return true }
        scores[block] = result
        partialSum = defect == .sumsInOrderOfArrival ? partialSum + subtotal : subtotals.reduce(0, +)
        if knownCount == subtotals.count { status = .finished }
        return true
    }

    /// Gives the expansion up; its scores are not needed any more.
    mutating func drop() {
        status = .dropped
        scores = []
    }

    /// Lets go of the per-sample scores of a finished expansion that is no longer among the best.
    mutating func forgetScores() { scores = [] }

    /// How many blocks, visited in `order`, it takes until the sum alone shows `exceeds`; all that were evaluated if
    /// none does.
    func blocksNeeded(in order: [Int], until exceeds: (Double) -> Bool) -> Int {
        var known = [Double](repeating: 0, count: subtotals.count)
        for (count, block) in order.enumerated() {
            guard isKnown[block] else { return knownCount }
            known[block] = subtotals[block]
            if exceeds(known.reduce(0, +)) { return count + 1 }
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
