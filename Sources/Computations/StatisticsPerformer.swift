internal import ComputationGraph
internal import Engine
internal import Search
internal import Work

/// Sums of values over consecutive blocks, block by block.
enum StatisticsPerformer: EngineWork.Performer {
    static func perform(
        _ key: WorkKey, hints: [UInt8], contents: any ContentAccess, data: EngineWork.Data
    ) throws -> [UInt8] {
        let item = try StatisticsItem(payload: key.payload)
        if case .criterion(let criterion, let means, let fitData) = item.subject {
            return StatisticsItem.result(
                [try sums(of: criterion, item, means, fitData, contents, data)])
        }
        var sums: [ValueSum] = []
        for (block, samples) in zip(item.blocks, item.samples) {
            let (evaluator, places) = try data(block.shard, samples)
            let own = try evaluator.sums(of: item.values, state: item.state.mask, samples: places)
            for ((value, known), new) in zip(zip(item.values, sums), own) where known.shape != new.shape {
                throw PermanentFailure(
                    "the value '\(evaluator.graph.values[value].name)' has no mean: the sum over a block has the "
                        + "shape \(new.shape), that over others \(known.shape)")
            }
            sums.add(own)
        }
        return StatisticsItem.result(sums)
    }

    /// What a criterion says of every channel, head and neuron.
    private static func sums(
        of criterion: SliceCriterion, _ item: StatisticsItem, _ means: ContentID?, _ fitData: ContentID?,
        _ contents: any ContentAccess, _ data: EngineWork.Data
    ) throws -> ValueSum {
        var total: [ValueSum] = []
        for (block, samples) in zip(item.blocks, item.samples) {
            let (evaluator, places) = try data(block.shard, samples)
            try evaluator.use(means, fitData, item.state.weights, from: contents)
            let sums = try evaluator.sums(of: criterion, state: item.state, samples: places)
            total.add([ValueSum(shape: [sums.count], sums: sums, count: places.count)])
        }
        return total[0]
    }
}
