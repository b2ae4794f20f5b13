import ComputationGraph
import Datasets
import Search
import Testing

@Suite("Blocks of a state")
struct SampleDivisionTests {
    @Test("visit the hardest samples of a shard first, weights counted, what is no number before all others")
    func hardestFirst() throws {
        let division = SampleDivision(
            sharding: try Sharding(samples: 7, shards: 2, blockSize: 2), weights: [1, 1, 4, 1, 1, 0, 1])
        #expect(division.totalWeight == 9)
        let state = State(
            variant: Variant(.empty), unit: nil, loss: 1, objective: 0, correct: nil,
            sampleLosses: [3, .nan, 1, 3, 2, .infinity, 2], cost: Cost(parameters: 0, flops: 0))
        let parent = FrontierState(state, on: BlockList(hardestFirst: state, division), division)
        // Shard 0 is samples 0 to 3 with weighted losses 3, NaN, 4, 3; shard 1 is 4 to 6 with 2, nothing, 2.
        #expect(parent.blocks.samples == [[1, 2], [0, 3], [4, 6], [5]])
        #expect(parent.blocks.ids == [(0, 0), (0, 1), (1, 0), (1, 1)].map { BlockID(shard: $0, index: $1) })
        #expect(parent.subtotals == [.infinity, 6, 4, 0])
        #expect(state.nonFiniteLosses == 2)
    }

    @Test("are in the data's own order before anything is measured")
    func naturalOrder() throws {
        let division = SampleDivision(
            sharding: try Sharding(samples: 7, shards: 2, blockSize: 3),
            weights: [Float](repeating: 1, count: 7))
        #expect(
            FrontierState(unmeasured: Variant(.empty), division).blocks.samples == [
                [0, 1, 2], [3], [4, 5, 6],
            ])
    }
}
