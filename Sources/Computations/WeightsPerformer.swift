internal import ComputationGraph
internal import Engine
internal import Search
internal import Training
internal import Work

/// The weights that a variant's recovery makes.
enum WeightsPerformer: EngineWork.Performer {
    static func perform(
        _ key: WorkKey, hints: [UInt8], contents: any ContentAccess, data: EngineWork.Data
    ) throws -> [UInt8] {
        let item = try WeightsItem(payload: key.payload)
        let (evaluator, _) = try data(item.shard, [])
        try evaluator.use(item.means, item.fitData, item.variant.weights, from: contents)
        return try evaluator.recoveredWeights(item.variant).bytes
    }
}
