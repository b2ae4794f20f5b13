/// How samples are divided among workers and blocks: by the run's settings alone, never by who computes.
///
/// Samples are numbered 0 ..< `samples` over the whole data set, everywhere.
public struct Sharding: Hashable, Sendable {
    /// Number of samples in the data set.
    public let samples: Int
    /// Number of shards, 1 ... `samples`.
    public let shards: Int
    /// Samples per block; the last block of a shard may have fewer.
    public let blockSize: Int

    /// Makes a division.
    ///
    /// - Throws: `invalidSetting` unless 1 ≤ shards ≤ samples and blockSize ≥ 1.
    public init(samples: Int, shards: Int, blockSize: Int) throws(DatasetError) {
        guard samples >= 1 else { throw DatasetError(.invalidSetting, "there are no samples to divide") }
        guard (1...samples).contains(shards) else {
            throw DatasetError(.invalidSetting, "\(samples) samples cannot be divided into \(shards) shards")
        }
        guard blockSize >= 1 else {
            throw DatasetError(.invalidSetting, "a block needs at least 1 sample, not \(blockSize)")
        }
        self.samples = samples
        self.shards = shards
        self.blockSize = blockSize
    }

    /// The samples of shard `shard`: contiguous; sizes differ by at most 1, larger ones first.
    ///
    /// - Precondition: `shard` is in `0..<shards`.
    public func shardRange(_ shard: Int) -> Range<Int> {
        precondition((0..<shards).contains(shard), "shard \(shard) of \(shards)")
        let (size, larger) = samples.quotientAndRemainder(dividingBy: shards)
        let start = shard * size + min(shard, larger)
        return start..<start + size + (shard < larger ? 1 : 0)
    }

    /// The shard that holds a sample.
    ///
    /// - Precondition: `sample` is in `0..<samples`.
    public func shard(ofSample sample: Int) -> Int {
        precondition((0..<samples).contains(sample), "sample \(sample) of \(samples)")
        let (size, larger) = samples.quotientAndRemainder(dividingBy: shards)
        let boundary = larger * (size + 1)
        return sample < boundary ? sample / (size + 1) : larger + (sample - boundary) / size
    }

    /// How many blocks shard `shard` has.
    public func blockCount(of shard: Int) -> Int {
        let count = shardRange(shard).count
        return count / blockSize + (count % blockSize == 0 ? 0 : 1)
    }

    /// Blocks of all shards together.
    public var totalBlockCount: Int { (0..<shards).reduce(0) { $0 + blockCount(of: $1) } }

    /// The blocks of shard `shard` in the data's own order.
    public func naturalBlocks(of shard: Int) -> [Range<Int>] {
        let range = shardRange(shard)
        return stride(from: range.lowerBound, to: range.upperBound, by: min(blockSize, samples)).map {
            $0..<min($0 + min(blockSize, samples), range.upperBound)
        }
    }

    /// The blocks of shard `shard` with the samples of greatest loss first, so that partial sums grow fast.
    ///
    /// - Parameters:
    ///   - shard: The shard.
    ///   - losses: The loss of every sample of the *whole data set* in one state.
    /// - Returns: Lists of sample numbers: by descending loss, NaN and infinite losses before all others, ties
    ///   by ascending sample number; cut into blocks of `blockSize`.
    /// - Precondition: `losses.count == samples`.
    public func blocks(of shard: Int, hardestFirst losses: [Float]) -> [[Int]] {
        precondition(losses.count == samples, "\(losses.count) losses for \(samples) samples")
        func key(_ sample: Int) -> Float { losses[sample].isFinite ? losses[sample] : .infinity }
        let order = shardRange(shard).sorted { first, second in
            let (one, other) = (key(first), key(second))
            return one != other ? one > other : first < second
        }
        return stride(from: 0, to: order.count, by: min(blockSize, samples)).map {
            Array(order[$0..<min($0 + min(blockSize, samples), order.count)])
        }
    }
}
