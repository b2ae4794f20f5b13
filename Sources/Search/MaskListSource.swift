public import ComputationGraph
internal import Datasets
public import Work

/// The exact losses of many masks, each with its recovery: an item is one of them on a block.
///
/// Every mask's loss is the sum over blocks in the data's own order, as if it had been measured alone.
public struct MaskListSource: WorkSource {
    private let variants: [Variant]
    /// The first place of each variant in the list.
    private let places: [Variant: Int]
    private let means: ContentID?
    private let fitData: ContentID?
    /// By piece: blocks of a variant that is refitted go to whoever has refitted it, others to whoever knows the block.
    private let localities: [UInt64]
    private let division: SampleDivision
    private let blocks: BlockList
    /// A row for each mask.
    private var grid: PieceGrid
    private var scores: [SampleScores?]
    private var subtotals: [CanonicalSum]
    /// By mask, how many of its blocks are not known.
    private var missing: [Int]

    /// The stage of the losses of the unpruned model: there is no search.
    public let stage = 1
    /// `losses`.
    public var kind: WorkKind { LossItem.kind }

    /// - Parameters:
    ///   - means: the table of means that removed slots may read.
    ///   - fitData: the data that recoveries fit on.
    public init(
        _ variants: [Variant], division: SampleDivision, means: ContentID? = nil, fitData: ContentID? = nil
    ) {
        self.variants = variants
        places = Dictionary(zip(variants, variants.indices)) { first, _ in first }
        self.means = means
        self.fitData = fitData
        self.division = division
        blocks = BlockList(naturalOrder: division)
        grid = PieceGrid(rows: variants.count, blocks: blocks.ids)
        localities = variants.flatMap { [blocks] variant in
            let isRefitted = fitData != nil && !variant.recovery.isNone && !variant.mask.isEmpty
            let own = isRefitted ? VariantLocality(variant) : nil
            return blocks.ids.map { own?.inShard($0.shard) ?? $0.locality }
        }
        scores = [SampleScores?](repeating: nil, count: grid.progress.total)
        let own = blocks.ids.count
        missing = variants.map { _ in own }
        subtotals = variants.map { _ in CanonicalSum(count: own) }
    }

    /// Whether all losses are known.
    public var isComplete: Bool { grid.isComplete }
    /// Block evaluations that are known, and all of them.
    public var progress: (done: Int, total: Int) { grid.progress }
    /// A mask on a block: at most a pass.
    public var smallestCost: WorkCost { WorkCost(scale: "losses", amount: 2) }

    /// What a variant of the list comes to; `nil` until all of its blocks are known.
    ///
    /// - Parameter cost: what the mask costs.
    public func state(of variant: Variant, cost: Cost) -> State? {
        guard let index = places[variant], missing[index] == 0 else { return nil }
        var losses = [Float](repeating: 0, count: division.sharding.samples)
        var correct: Int?
        for (place, samples) in blocks.samples.enumerated() {
            guard let score = scores[grid.piece(row: index, place: place)] else { continue }
            for (sample, loss) in zip(samples, score.losses) { losses[sample] = loss }
            if !score.correct.isEmpty { correct = (correct ?? 0) + score.correct.reduce(0) { $0 + Int($1) } }
        }
        let loss = subtotals[index].total / division.totalWeight
        return State(
            variant: variant, unit: nil, loss: loss,
            objective: Objective.signed.value(loss: loss, base: 0), correct: correct, sampleLosses: losses,
            cost: cost)
    }

    private func item(_ piece: Int) -> WorkItem {
        let (index, place) = grid.position(of: piece)
        let block = blocks.ids[place]
        let fitData = fitData(of: variants[index])
        let payload = LossItem(
            state: variants[index], means: means, fitData: fitData, block: block,
            samples: blocks.samples[place], units: [nil]
        ).payload
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: payload), shard: block.shard,
            contents: [means, fitData, variants[index].weights.map { ContentID($0) }].compactMap(\.self),
            locality: localities[piece],
            cost: fitData == nil ? smallestCost : WorkCost(scale: "recovery", amount: 1), pieces: [piece])
    }

    /// What a variant is fitted on; `nil` for one that is not.
    private func fitData(of variant: Variant) -> ContentID? {
        variant.recovery.isNone || variant.mask.isEmpty ? nil : fitData
    }

    /// The next mask on a block, in the order of the list.
    public mutating func next(for worker: WorkerView) -> WorkItem? {
        let localities = localities
        return grid.next(for: worker) { localities[$0] }.map { item($0) }
    }

    /// Checks the shape of a block's scores.
    public func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        let samples = blocks.samples[grid.position(of: item.pieces[0]).place]
        try LossItem.check(result, expansions: 1, samples: samples.count)
    }

    /// Takes a block's scores.
    public mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        let piece = item.pieces[0]
        let (index, place) = grid.position(of: piece)
        let samples = blocks.samples[place]
        guard
            let score = try? LossItem.scores(in: result, expansions: 1, samples: samples.count).first,
            grid.learn(piece)
        else { return false }
        scores[piece] = score
        subtotals[index].set(division.subtotal(of: score.losses, samples: samples), at: place)
        missing[index] -= 1
        return false
    }

    /// Takes the scores of a mask of the list on one of its blocks.
    public mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind else { return record.key.stage > stage ? .later : .none }
        guard record.key.stage <= stage else { return .later }
        let (given, all): (LossItem, [SampleScores])
        do throws(WorkMismatch) { (given, all) = try record.losses() } catch { return .wrong(error) }
        guard given.means == means, let place = grid.place(of: given.block),
            blocks.samples[place] == given.samples
        else { return .none }
        for (variant, score) in zip(given.variants, all) {
            guard let index = places[variant], given.fitData == fitData(of: variant) else { continue }
            return .part(
                item(grid.piece(row: index, place: place)), result: LossItem.result([score]))
        }
        return .none
    }

    /// Whether the scores are still unknown.
    public func needs(_ item: WorkItem) -> Bool { grid.needs(item.pieces[0]) }

    /// Makes an item available again.
    public mutating func giveBack(_ item: WorkItem) { grid.giveBack(item.pieces[0]) }

    /// Mask and block.
    public func describe(_ item: WorkItem, pieces: [Int]) -> String {
        let (index, place) = grid.position(of: item.pieces[0])
        let block = blocks.ids[place]
        return "block \(block.index) of shard \(block.shard), mask \(variants[index]),"
    }
}
