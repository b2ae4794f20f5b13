internal import Engine
internal import Training
internal import Work

/// Gradients of a training's step.
enum GradientPerformer: EngineWork.Performer {
    static func perform(
        _ key: WorkKey, hints: [UInt8], contents: any ContentAccess, data: EngineWork.Data
    ) throws -> [UInt8] {
        let item = try GradientItem(payload: key.payload)
        let parts = try item.microBatches.map { try data(item.shard, $0.samples) }
        let evaluator = parts[0].0
        try evaluator.use(item.subject.means, nil, from: contents)
        return try evaluator.gradient(
            item, places: parts.map(\.1),
            teacher: { try item.subject.teacher.map { try contents.bytes(of: $0) } },
            weights: { try TrainedWeights.elements(in: contents.bytes(of: item.weights)) },
            replaced: { contents.discard($0) }
        ).bytes
    }
}
