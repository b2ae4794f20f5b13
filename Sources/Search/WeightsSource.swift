public import ComputationGraph
internal import Training
public import Work

/// The weights of some states after their recovery: an item is one of them, for whoever has just measured it.
public struct WeightsSource: WorkSource {
    private let variants: [Variant]
    /// By variant: who has recovered it prefers its weights.
    private let localities: [UInt64]
    private let means: ContentID?
    private let fitData: ContentID?
    /// A row for each variant.
    private var grid: PieceGrid
    private var found: [[UInt8]?]

    /// That of the level whose expansions start from the weights.
    public let stage: Int
    /// `weights`.
    public var kind: WorkKind { WeightsItem.kind }

    /// - Parameter stage: that of the level whose expansions start from the weights.
    public init(_ variants: [Variant], stage: Int, means: ContentID?, fitData: ContentID?) {
        self.variants = variants
        localities = variants.map { VariantLocality($0).inShard(WeightsSource.block.shard) }
        self.stage = stage
        (self.means, self.fitData) = (means, fitData)
        grid = PieceGrid(rows: variants.count, blocks: [WeightsSource.block])
        found = variants.map { _ in nil }
    }

    /// Weights need no samples but those that recoveries fit on: any holder of data has them.
    private static let block = BlockID(shard: 0, index: 0)

    /// The weights' bytes, variant by variant.
    ///
    /// - Precondition: the source is complete.
    public var weights: [[UInt8]] {
        precondition(isComplete, "some weights are not known")
        return found.compactMap(\.self)
    }

    /// Whether all weights are known.
    public var isComplete: Bool { grid.isComplete }
    /// A recovery.
    public var smallestCost: WorkCost { WorkCost(scale: "weights", amount: 1) }

    private func item(_ index: Int) -> WorkItem {
        let variant = variants[index]
        let shard = WeightsSource.block.shard
        let item = WeightsItem(variant, means: means, fitData: fitData, shard: shard)
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: item.payload), shard: shard,
            contents: [means, fitData, variant.weights.map { ContentID($0) }].compactMap(\.self),
            locality: localities[index], cost: smallestCost, pieces: [index])
    }

    /// The next variant, for whoever has recovered it already if they ask.
    public mutating func next(for worker: WorkerView) -> WorkItem? {
        let localities = localities
        return grid.next(for: worker) { localities[$0] }.map { item($0) }
    }

    /// Checks that they are weights of the variant's mask.
    public func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        guard try RecoveredWeights(result).mask == variants[item.pieces[0]].mask else {
            throw WorkMismatch("has weights of another mask")
        }
    }

    /// Takes a variant's weights.
    public mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        guard grid.learn(item.pieces[0]) else { return false }
        found[item.pieces[0]] = result
        return false
    }

    /// Takes weights of another run, where they are of the very same variant.
    public mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind, record.key.stage == stage else {
            return record.key.stage >= stage ? .later : .none
        }
        let index = variants.indices.first { index in item(index).key == record.key }
        guard let item = index.map({ item($0) }), needs(item) else { return .none }
        do throws(WorkMismatch) { try check(record.result, of: item) } catch { return .wrong(error) }
        return .part(item, result: record.result)
    }

    /// Whether the weights are still unknown.
    public func needs(_ item: WorkItem) -> Bool { grid.needs(item.pieces[0]) }

    /// Makes an item available again.
    public mutating func giveBack(_ item: WorkItem) { grid.giveBack(item.pieces[0]) }

    /// The variant.
    public func describe(_ item: WorkItem, pieces: [Int]) -> String {
        "the weights of \(variants[item.pieces[0]]),"
    }
}
