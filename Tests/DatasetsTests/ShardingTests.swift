import Testing

@testable import Datasets

/// Shards and blocks follow from the settings alone and cover every sample once.
struct ShardingTests {
    @Test func coversEverySampleOnceWithEvenShards() throws {
        for samples in 1...40 {
            for shards in 1...samples {
                for blockSize in [1, 3, 7, 64, Int.max] {
                    let sharding = try Sharding(samples: samples, shards: shards, blockSize: blockSize)
                    let ranges = (0..<shards).map(sharding.shardRange)
                    #expect(ranges.flatMap { Array($0) } == Array(0..<samples))
                    let sizes = ranges.map(\.count)
                    #expect(sizes.max()! - sizes.min()! <= 1)
                    for shard in 0..<shards {
                        let blocks = sharding.naturalBlocks(of: shard)
                        #expect(blocks.flatMap { Array($0) } == Array(ranges[shard]))
                        #expect(blocks.count == sharding.blockCount(of: shard))
                        #expect(blocks.dropLast().allSatisfy { $0.count == blockSize })
                        #expect(ranges[shard].allSatisfy { sharding.shard(ofSample: $0) == shard })
                    }
                }
            }
        }
    }

    @Test func hardestSamplesComeFirst() throws {
        let sharding = try Sharding(samples: 10, shards: 2, blockSize: 2)
        // Sorted by hand: NaN and infinities before all, ties by number.
        let losses: [Float] = [0.5, .nan, 2, 0.5, .infinity, 9, 9, 9, 0, 1]
        #expect(sharding.blocks(of: 0, hardestFirst: losses) == [[1, 4], [2, 0], [3]])
        #expect(sharding.blocks(of: 1, hardestFirst: losses) == [[5, 6], [7, 9], [8]])
    }

    @Test func settingsOutOfRangeAreErrors() {
        for (samples, shards, blockSize) in [(0, 1, 1), (4, 5, 1), (4, 0, 1), (4, 2, 0), (4, -1, 1)] {
            let error = #expect(throws: DatasetError.self) {
                try Sharding(samples: samples, shards: shards, blockSize: blockSize)
            }
            #expect(error?.kind == .invalidSetting)
        }
    }
}
