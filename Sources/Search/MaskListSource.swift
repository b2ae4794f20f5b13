public import ComputationGraph
internal import Datasets
public import Work

/// The exact losses of many masks: an item is one of them on a block.
///
/// Every mask's loss is the sum over blocks in the data's own order, as if it had been measured alone.
public struct MaskListSource: WorkSource {
    private enum Status { case open, out, known }

    private let masks: [Mask]
    private let means: ContentID?
    private let division: SampleDivision
    private let blocks: BlockList
    private var statuses: [Status]
    private var scores: [SampleScores?]
    private var subtotals: [CanonicalSum]
    /// By mask, how many of its blocks are not known.
    private var missing: [Int]
    private var left: Int
    private var cursor = 0

    /// The stage of the losses of the unpruned model: there is no search.
    public let stage = 1
    /// `losses`.
    public var kind: WorkKind { LossItem.kind }

    /// - Parameter means: the table of means that removed slots may read.
    public init(_ masks: [Mask], division: SampleDivision, means: ContentID? = nil) {
        self.masks = masks
        self.means = means
        self.division = division
        blocks = BlockList(naturalOrder: division)
        let count = masks.count * blocks.ids.count
        statuses = [Status](repeating: .open, count: count)
        scores = [SampleScores?](repeating: nil, count: count)
        let own = blocks.ids.count
        missing = masks.map { _ in own }
        subtotals = masks.map { _ in CanonicalSum(count: own) }
        left = count
    }

    /// Whether all losses are known.
    public var isComplete: Bool { left == 0 }
    /// Block evaluations that are known, and all of them.
    public var progress: (done: Int, total: Int) { (statuses.count - left, statuses.count) }
    /// A mask on a block: at most a pass.
    public var smallestCost: WorkCost { WorkCost(scale: "losses", amount: 2) }

    /// What a mask comes to; `nil` until all of its blocks are known.
    ///
    /// - Parameter cost: what the mask costs.
    public func state(ofMask index: Int, cost: Cost) -> State? {
        guard missing[index] == 0 else { return nil }
        var losses = [Float](repeating: 0, count: division.sharding.samples)
        var correct: Int?
        for (place, samples) in blocks.samples.enumerated() {
            guard let score = scores[index * blocks.ids.count + place] else { continue }
            for (sample, loss) in zip(samples, score.losses) { losses[sample] = loss }
            if !score.correct.isEmpty { correct = (correct ?? 0) + score.correct.reduce(0) { $0 + Int($1) } }
        }
        let loss = subtotals[index].total / division.totalWeight
        return State(
            variant: Variant(masks[index]), unit: nil, loss: loss,
            objective: Objective.signed.value(loss: loss, base: 0), correct: correct, sampleLosses: losses,
            cost: cost)
    }

    private func item(_ piece: Int) -> WorkItem {
        let (index, place) = piece.quotientAndRemainder(dividingBy: blocks.ids.count)
        let block = blocks.ids[place]
        let payload = LossItem(
            state: Variant(masks[index]), means: means, block: block, samples: blocks.samples[place],
            units: [nil]
        ).payload
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: payload), shard: block.shard,
            contents: means.map { [$0] } ?? [],
            locality: UInt64(UInt32(clamping: block.shard)) << 32 | UInt64(UInt32(clamping: block.index)),
            cost: smallestCost, pieces: [piece])
    }

    /// The next mask on a block, in the order of the list.
    public mutating func next(for worker: WorkerView) -> WorkItem? {
        while cursor < statuses.count, statuses[cursor] == .known { cursor += 1 }
        var other: Int?
        for piece in cursor..<statuses.count where statuses[piece] == .open {
            let item = item(piece)
            guard item.shard.map(worker.holds) ?? true else { continue }
            guard worker.prefers(item.locality) else {
                other = other ?? piece
                // Far ahead of the list nothing is worth waiting for.
                if piece - cursor > 4 * blocks.ids.count { break }
                continue
            }
            statuses[piece] = .out
            return item
        }
        guard let other else { return nil }
        statuses[other] = .out
        return item(other)
    }

    /// Checks the shape of a block's scores.
    public func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        try LossItem.check(
            result, expansions: 1, samples: blocks.samples[item.pieces[0] % blocks.ids.count].count)
    }

    /// Takes a block's scores.
    public mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        let piece = item.pieces[0]
        let (index, place) = piece.quotientAndRemainder(dividingBy: blocks.ids.count)
        let samples = blocks.samples[place]
        guard statuses[piece] != .known,
            let score = try? LossItem.scores(in: result, expansions: 1, samples: samples.count).first
        else { return false }
        statuses[piece] = .known
        scores[piece] = score
        subtotals[index].set(division.subtotal(of: score.losses, samples: samples), at: place)
        missing[index] -= 1
        left -= 1
        return false
    }

    /// Takes the scores of a mask of the list on one of its blocks.
    public mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind else { return record.key.stage > stage ? .later : .none }
        guard record.key.stage <= stage else { return .later }
        let (given, all): (LossItem, [SampleScores])
        do throws(WorkMismatch) {
            given = try LossItem(payload: record.key.payload)
            all = try LossItem.scores(
                in: record.result, expansions: given.units.count, samples: given.samples.count)
        } catch { return .wrong(error) }
        guard given.means == means, let place = blocks.ids.firstIndex(of: given.block),
            blocks.samples[place] == given.samples
        else { return .none }
        for (variant, score) in zip(given.variants, all) {
            guard variant == Variant(variant.mask), let index = masks.firstIndex(of: variant.mask) else {
                continue
            }
            return .part(item(index * blocks.ids.count + place), result: LossItem.result([score]))
        }
        return .none
    }

    /// Whether the scores are still unknown.
    public func needs(_ item: WorkItem) -> Bool { statuses[item.pieces[0]] != .known }

    /// Makes an item available again.
    public mutating func giveBack(_ item: WorkItem) {
        guard statuses[item.pieces[0]] == .out else { return }
        statuses[item.pieces[0]] = .open
    }

    /// Mask and block.
    public func describe(_ item: WorkItem, pieces: [Int]) -> String {
        let (index, place) = item.pieces[0].quotientAndRemainder(dividingBy: blocks.ids.count)
        let block = blocks.ids[place]
        return "block \(block.index) of shard \(block.shard), mask \(masks[index]),"
    }
}
