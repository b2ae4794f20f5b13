/// Which samples make up each step of a training: epoch after epoch all of them, shuffled anew.
///
/// A micro-batch is of one shard. With several shards each contributes to a step by its share of the samples.
public struct SampleOrder: Sendable {
    /// Samples that are computed together.
    public struct MicroBatch: Hashable, Sendable {
        /// Their shard.
        public let shard: Int
        /// Indices into the whole data set.
        public let samples: [Int]

        /// Samples of a shard.
        public init(shard: Int, samples: [Int]) { (self.shard, self.samples) = (shard, samples) }
    }

    /// By shard, the samples.
    private let shards: [[Int]]
    private let total: Int
    private let batch: Int
    private let microBatch: Int
    private let seed: UInt64
    /// By shard, the last epochs' orders.
    private var known: [Int: [(epoch: Int, order: [Int])]] = [:]

    /// - Parameters:
    ///   - shards: by shard, the samples that take part; at least one altogether.
    ///   - batch: samples of a step.
    ///   - microBatch: samples of a micro-batch; the last of a step may have fewer.
    public init(shards: [[Int]], batch: Int, microBatch: Int, seed: UInt64) {
        precondition(batch > 0 && microBatch > 0 && shards.contains { !$0.isEmpty })
        (self.shards, self.batch, self.microBatch, self.seed) = (shards, batch, microBatch, seed)
        total = shards.reduce(0) { $0 + $1.count }
    }

    /// Steps that use every sample once, rounded up.
    public var stepsPerEpoch: Int { (total + batch - 1) / batch }

    /// The micro-batches of a step, counted from 0.
    public mutating func microBatches(of step: Int) -> [MicroBatch] {
        let sizes = stride(from: 0, to: batch, by: microBatch).map { min(microBatch, batch - $0) }
        var taken = [Int](repeating: 0, count: shards.count)
        let offset = HashedNumber.of(seed, 1, UInt64(step)) % UInt64(total)
        return sizes.enumerated().map { place, size in
            let shard = shard(at: (place * total + Int(offset)) / sizes.count)
            let first = step * batch * shards[shard].count / total + taken[shard]
            taken[shard] += size
            return MicroBatch(
                shard: shard, samples: (first..<first + size).map { sample(at: $0, of: shard) })
        }
    }

    /// The shard of the sample at a place among all, which lie shard by shard.
    private func shard(at place: Int) -> Int {
        var end = 0
        for (shard, samples) in shards.enumerated() {
            end += samples.count
            if place < end { return shard }
        }
        return shards.lastIndex { !$0.isEmpty } ?? 0
    }

    private mutating func sample(at position: Int, of shard: Int) -> Int {
        let samples = shards[shard]
        let (epoch, place) = position.quotientAndRemainder(dividingBy: samples.count)
        if let order = known[shard]?.first(where: { $0.epoch == epoch })?.order { return order[place] }
        let order = samples.map { (HashedNumber.of(seed, 2, UInt64(epoch), UInt64($0)), $0) }.sorted {
            ($0.0, $0.1) < ($1.0, $1.1)
        }.map(\.1)
        known[shard] = (known[shard] ?? []).suffix(1) + [(epoch, order)]
        return order[place]
    }
}
