public import Datasets

/// A block: the shard that it belongs to and its place there. The canonical order is by shard, then by place.
public struct BlockID: Hashable, Comparable, Sendable, Codable {
    /// The shard that holds the samples.
    public let shard: Int
    /// The block's place among the shard's blocks.
    public let index: Int

    /// The block `index` of `shard`.
    public init(shard: Int, index: Int) {
        self.shard = shard
        self.index = index
    }

    /// The canonical order: by shard, then by place.
    public static func < (left: BlockID, right: BlockID) -> Bool {
        (left.shard, left.index) < (right.shard, right.index)
    }

    /// What work on the block shares intermediate results by (``WorkItem/locality``).
    var locality: UInt64 { UInt64(UInt32(clamping: shard)) << 32 | UInt64(UInt32(clamping: index)) }
}

extension [BlockID] {
    /// The place of each block in the list.
    var places: [BlockID: Int] { Dictionary(uniqueKeysWithValues: zip(self, indices)) }
}

/// The blocks that states are measured on, with their samples.
public struct BlockList: Sendable {
    /// In canonical order.
    public let ids: [BlockID]
    /// The samples of each block, by the same index.
    public let samples: [[Int]]

    /// The blocks in the data's own order: for the state whose losses are not known yet.
    public init(naturalOrder division: SampleDivision) {
        self.init(division) { shard in
            division.sharding.naturalBlocks(of: shard).flatMap { Array($0) }
        }
    }

    /// - Parameter order: the samples of a shard, in the order in which blocks take them.
    private init(_ division: SampleDivision, order: (Int) -> [Int]) {
        var ids: [BlockID] = []
        var samples: [[Int]] = []
        let size = min(division.sharding.blockSize, division.sharding.samples)
        for shard in 0..<division.sharding.shards {
            let own = order(shard).filter { !division.excluded.contains($0) }
            for (index, start) in stride(from: 0, to: own.count, by: size).enumerated() {
                ids.append(BlockID(shard: shard, index: index))
                samples.append(Array(own[start..<min(start + size, own.count)]))
            }
        }
        self.ids = ids
        self.samples = samples
    }

    /// The blocks that a search stays with once the full model is measured: within each shard the samples that the model
    /// finds hardest first.
    ///
    /// What is hard for the full model is mostly hard for what is left of it. Since no state has blocks of its own, what
    /// one computed for an expansion serves the next level, for which the expansion is the state.
    public init(hardestFirst state: State, _ division: SampleDivision) {
        let sharding = division.sharding
        let losses = zip(state.sampleLosses, division.weights).map { loss, weight in
            weight > 0 ? loss * weight : 0
        }
        self.init(division) { sharding.blocks(of: $0, hardestFirst: losses).flatMap { $0 } }
    }
}

/// The samples that losses are averaged over.
public struct SampleDivision: Sendable {
    /// How samples fall into shards and blocks.
    public let sharding: Sharding
    /// The weight of every sample: 1, or the number of counted tokens.
    public let weights: [Float]
    /// Σ weights, in sample order.
    public let totalWeight: Double
    /// Samples that are not measured, for layers are fitted on them.
    public let excluded: Set<Int>
    /// The number of samples that are measured.
    public var measured: Int { sharding.samples - excluded.count }

    /// - Parameters:
    ///   - weights: one per sample, finite and not negative, not all 0.
    ///   - excluded: samples that are not measured; their weights do not count.
    public init(sharding: Sharding, weights: [Float], excluding excluded: Set<Int> = []) {
        precondition(weights.count == sharding.samples, "one weight per sample")
        self.sharding = sharding
        self.excluded = excluded
        self.weights =
            excluded.isEmpty
            ? weights : weights.enumerated().map { excluded.contains($0.offset) ? 0 : $0.element }
        totalWeight = self.weights.reduce(0) { $0 + Double($1) }
    }

    /// Σ weight · loss over a block, sample by sample; infinity when a counted loss is no number.
    func subtotal(of losses: [Float], samples: [Int]) -> Double {
        var sum = 0.0
        for (loss, sample) in zip(losses, samples) where weights[sample] > 0 {
            sum += loss.isNaN ? .infinity : Double(max(loss, 0)) * Double(weights[sample])
        }
        return sum
    }
}
