public import Engine
internal import ComputationGraph
internal import Search
internal import Training
public import Work

/// The kinds of work that the engine performs, in a worker and in this process alike.
public enum EngineWork {
    /// Gives the evaluator that holds samples of a shard, and their places in its data.
    public typealias Data = (_ shard: Int, _ samples: [Int]) throws -> (Evaluator, [Int])

    /// A kind of work on the engine.
    protocol Performer: Sendable {
        /// Computes the result of a payload.
        static func perform(
            _ key: WorkKey, hints: [UInt8], contents: any ContentAccess, data: EngineWork.Data
        ) throws -> [UInt8]
    }

    /// A new kind of work is a line here.
    private static func performer(of kind: WorkKind) -> (any Performer.Type)? {
        switch kind {
        case LossItem.kind: LossPerformer.self
        case StatisticsItem.kind: StatisticsPerformer.self
        case GradientItem.kind: GradientPerformer.self
        case WeightsItem.kind: WeightsPerformer.self
        default: nil
        }
    }

    /// Computes the result of an item: a pure function of its key, the model and the data.
    ///
    /// - Parameters:
    ///   - hints: what makes it faster.
    ///   - contents: gives what the item names besides model and shard.
    ///   - data: gives the samples.
    /// - Throws: `WorkMismatch` for a payload that is none; `PermanentFailure` for a kind that there is not; `EngineError`.
    public static func perform(
        _ key: WorkKey, hints: [UInt8], contents: any ContentAccess, data: Data
    ) throws -> [UInt8] {
        guard let performer = performer(of: key.kind) else {
            throw PermanentFailure("there is no work of the kind '\(key.kind)'")
        }
        return try performer.perform(key, hints: hints, contents: contents, data: data)
    }
}

/// Losses of a state's expansions on a block.
private enum LossPerformer: EngineWork.Performer {
    static func perform(
        _ key: WorkKey, hints: [UInt8], contents: any ContentAccess, data: EngineWork.Data
    ) throws -> [UInt8] {
        let item = try LossItem(payload: key.payload)
        let (evaluator, samples) = try data(item.block.shard, item.samples)
        try evaluator.use(item.means, item.fitData, item.state.weights, from: contents)
        if item.fitData != nil || item.state.weights != nil {
            return LossItem.result(
                try evaluator.evaluate(
                    recovered: item.state, samples: samples, expansions: item.units))
        }
        return LossItem.result(
            try evaluator.evaluate(
                state: item.state.mask, samples: samples, expansions: item.units,
                reuseHints: item.reuseHints(hints), stage: key.stage))
    }
}

extension Evaluator {
    /// Takes the means, the fit data and the weights to start from of these names into use.
    func use(
        _ means: ContentID?, _ fitData: ContentID?, _ weights: WeightsID? = nil,
        from contents: any ContentAccess
    ) throws {
        if let means {
            try useMeans(named: means.sha256) { try MeansTable.decode(contents.bytes(of: means)) }
        }
        if let fitData {
            try useFitData(named: fitData.sha256) { try self.fitData(encoded: contents.bytes(of: fitData)) }
        }
        if let weights {
            try use(weights: weights) {
                try RecoveredWeights(contents.bytes(of: ContentID(weights)))
            } replaced: {
                contents.discard(ContentID($0))
            }
        }
    }
}
