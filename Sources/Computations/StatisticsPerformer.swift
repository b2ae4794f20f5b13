internal import ComputationGraph
internal import Engine
internal import Search
internal import Work

/// Sums of values over a block.
enum StatisticsPerformer: EngineWork.Performer {
    static func perform(
        _ key: WorkKey, hints: [UInt8], contents: any ContentAccess, data: EngineWork.Data
    ) throws -> [UInt8] {
        let item = try StatisticsItem(payload: key.payload)
        let (evaluator, samples) = try data(item.block.shard, item.samples)
        let sums = try evaluator.sums(of: item.values, state: item.state.mask, samples: samples)
        return StatisticsItem.result(sums)
    }
}
