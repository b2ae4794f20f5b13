internal import ComputationGraph
internal import Search

// The keys are those that the command line promises; more may be added, none may go.

extension RunSummary: Encodable {
    private enum Key: String, CodingKey {
        case base, path, work, seconds, workers, paretoFront, levels, settings, loss, mixedNumerics
        case exact, screening, samples, parameters, flops, end, budget, validation
        case measuredOutputs, positionWeights, constantPredictorLoss, unmeasuredOutputs
    }

    /// Writes the documented keys; numbers that JSON lacks become null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        var full = container.nestedContainer(keyedBy: Measurement.Key.self, forKey: .base)
        try base.encode(into: &full, isChange: false)
        try full.encode(samples, forKey: .samples)
        try container.encode(path, forKey: .path)
        try container.encode(work, forKey: .work)
        try container.encode(seconds, forKey: .seconds)
        try container.encode(workers, forKey: .workers)
        if !mixedNumerics.isEmpty { try container.encode(mixedNumerics, forKey: .mixedNumerics) }
        var front = container.nestedContainer(keyedBy: Key.self, forKey: .paretoFront)
        try front.encode(parameterFront, forKey: .parameters)
        try front.encode(flopsFront, forKey: .flops)
        try container.encode(levels, forKey: .levels)
        try container.encode(
            SettingsRecord(settings, samples: samples, blockSize: blockSize, shards: shards),
            forKey: .settings)
        try container.encode(loss, forKey: .loss)
        try container.encode(end, forKey: .end)
        if let until = settings.until, let reachedShare {
            try container.encode(
                BudgetRecord(
                    quantity: until.quantity, asked: until.fraction, reached: reachedShare,
                    isMet: !missesBudget), forKey: .budget)
        }
        if let measured {
            try container.encode(measured.outputs, forKey: .measuredOutputs)
            try container.encodeIfPresent(measured.positionWeights, forKey: .positionWeights)
            try container.encode(measured.constantPredictorLoss, forKey: .constantPredictorLoss)
            try container.encode(measured.unmeasured, forKey: .unmeasuredOutputs)
        }
        try container.encode(screening == nil, forKey: .exact)
        try container.encodeIfPresent(validation, forKey: .validation)
        if let screening { try container.encode(ScreeningRecord(screening), forKey: .screening) }
    }
}

extension RunSummary.Measurement: Encodable {
    enum Key: String, CodingKey {
        case step, edge, samples, removed
        case loss, lossChange, accuracy, parameters, flops, finite, nonFiniteLosses, validation
        case relativeLoss
    }

    /// Writes the documented keys; numbers that JSON lacks become null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(removed.map(\.description), forKey: .removed)
        try encode(into: &container)
    }

    /// Adds the measured numbers. JSON has no infinity: a loss that is none is null, with `"finite": false`.
    func encode(into container: inout KeyedEncodingContainer<Key>, isChange: Bool = true) throws {
        try container.encode(loss.isFinite ? loss : nil, forKey: .loss)
        if isChange { try container.encode(lossChange.isFinite ? lossChange : nil, forKey: .lossChange) }
        if let relativeLoss { try container.encode(relativeLoss, forKey: .relativeLoss) }
        try container.encode(accuracy, forKey: .accuracy)
        try container.encode(parameters, forKey: .parameters)
        try container.encode(flops, forKey: .flops)
        if !loss.isFinite { try container.encode(false, forKey: .finite) }
        try container.encodeIfPresent(validation, forKey: .validation)
        if nonFiniteLosses > 0 { try container.encode(nonFiniteLosses, forKey: .nonFiniteLosses) }
    }
}

extension RunSummary.Step: Encodable {
    /// Writes the documented keys; numbers that JSON lacks become null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: RunSummary.Measurement.Key.self)
        try container.encode(step, forKey: .step)
        try container.encode(edge, forKey: .edge)
        try measurement.encode(into: &container)
    }
}

/// What was asked for and what was reached, as shares of the full model's.
private struct BudgetRecord: Encodable {
    let quantity: Budget.Quantity
    let asked: Double
    let reached: Double
    let isMet: Bool
}

/// The settings in the words of the command line.
private struct SettingsRecord: Encodable {
    let strategy: String
    let objective: Objective
    let steps: Int?
    let until: String?
    let per: String
    let maximumLossIncrease: Double?
    let maximumAccuracyDrop: Double?
    let usesBounds: Bool
    let samples: Int
    let blockSize: Int
    let shards: Int

    init(_ settings: SearchSettings, samples: Int, blockSize: Int, shards: Int) {
        strategy = settings.strategy.description
        objective = settings.objective
        steps = settings.steps
        until = settings.until?.description
        per = settings.per?.rawValue ?? "removal"
        maximumLossIncrease = settings.maximumLossIncrease.flatMap { $0.isFinite ? $0 : nil }
        maximumAccuracyDrop = settings.maximumAccuracyDrop
        usesBounds = settings.usesBounds
        self.samples = samples
        self.blockSize = blockSize
        self.shards = shards
    }
}
