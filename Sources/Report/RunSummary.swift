internal import ComputationGraph
public import Search

/// What a run found and what it took: the content of `prune --json`, of `summary.txt` and of the path's CSV. A run's record
/// makes it when the run ends.
public struct RunSummary: Sendable {
    /// One removal of the path.
    public struct Step: Sendable, Hashable {
        /// The number of the removal, from 1.
        public let step: Int
        /// The edge that was removed.
        public let edge: NamedEdge
        /// The model after it.
        public let state: MeasuredState
    }

    /// What a level kept, and its work.
    public struct LevelSummary: Sendable, Hashable, Encodable {
        /// The number of removals; 0 is the measurement of the full model.
        public let number: Int
        /// The work of the level.
        public let work: WorkCount
        /// The kept states, best first.
        public private(set) var kept: [MeasuredState]

        init(number: Int, work: WorkCount, kept: [MeasuredState]) {
            (self.number, self.work, self.kept) = (number, work, kept)
        }

        mutating func attach(_ heldOut: MeasuredState.Measurement, to variant: Variant) {
            for index in kept.indices where kept[index].variant == variant { kept[index].heldOut = heldOut }
        }

        mutating func scale(by report: LossReport?) { kept = kept.map { $0.scaled(by: report) } }
    }

    /// What was asked for, and on which data.
    public let setup: RunSetup
    /// The full model.
    public let base: MeasuredState
    /// From the first removal to the result.
    public let path: [Step]
    /// Level by level.
    public let levels: [LevelSummary]
    /// The kept states that no other beats in both loss and parameters, from the full model down.
    public let parameterFront: [MeasuredState]
    /// The same for floating-point operations.
    public let flopsFront: [MeasuredState]
    /// Wall time, seconds.
    public let seconds: Double
    /// How many workers took part.
    public let workers: Int
    /// Machines whose results were used although they compute other bits than the last coordinator: the run's bits are then
    /// not those of one machine.
    public let mixedNumerics: [String]
    /// Which outputs were measured, and on what scale; `nil` where that was not told.
    public let measured: LossReport?
    /// What was left out, and what is known of it; `nil` when nothing was, so that the result is exact.
    public let screening: ScreeningReport?
    /// Why the search ended.
    public let end: SearchEnd

    init(
        setup: RunSetup, base: MeasuredState, levels: [LevelSummary], ending: RunEnding, seconds: Double,
        measured: (State) -> MeasuredState
    ) {
        self.setup = setup
        self.base = base
        self.levels = levels
        self.seconds = seconds
        path = zip(ending.result.path, ending.edges).enumerated().compactMap { index, removal in
            removal.1.map { Step(step: index + 1, edge: $0, state: measured(removal.0)) }
        }
        parameterFront = ending.result.paretoFront(of: .parameters).map(measured)
        flopsFront = ending.result.paretoFront(of: .flops).map(measured)
        workers = ending.workers
        mixedNumerics = ending.mixedNumerics
        self.measured = ending.report
        screening = ending.result.screening
        end = ending.result.end
    }

    /// The work of all levels.
    public var work: WorkCount { levels.reduce(WorkCount()) { $0 + $1.work } }

    /// The share of the full model's cost that the result has, of what the budget counts; `nil` without a budget.
    public var reachedShare: Double? {
        setup.settings.until.map { budget in
            let last = path.last?.state ?? base
            return Double(last.cost[budget.quantity]) / Double(max(1, base.cost[budget.quantity]))
        }
    }

    /// Whether a budget was asked for and is not reached.
    public var missesBudget: Bool {
        setup.settings.until.flatMap { budget in reachedShare.map { $0 > budget.fraction } } ?? false
    }

    /// How many times fewer block evaluations the search took than brute force; `nil` before anything was evaluated.
    public var savingOverBruteForce: Double? {
        work.blockEvaluations > 0
            ? Double(work.bruteForceBlockEvaluations) / Double(work.blockEvaluations) : nil
    }
}

extension MeasuredState {
    /// The state with its loss in units of a constant output's, where the report gives that scale.
    func scaled(by report: LossReport?) -> MeasuredState {
        var scaled = self
        scaled.relativeLoss = report?.relative(loss)
        return scaled
    }
}

// MARK: JSON

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
        var full = container.nestedContainer(keyedBy: MeasuredState.Key.self, forKey: .base)
        try base.encode(into: &full, isChange: false)
        try full.encode(setup.samples, forKey: .samples)
        try container.encode(path, forKey: .path)
        try container.encode(work, forKey: .work)
        try container.encode(seconds, forKey: .seconds)
        try container.encode(workers, forKey: .workers)
        if !mixedNumerics.isEmpty { try container.encode(mixedNumerics, forKey: .mixedNumerics) }
        var front = container.nestedContainer(keyedBy: Key.self, forKey: .paretoFront)
        try front.encode(parameterFront, forKey: .parameters)
        try front.encode(flopsFront, forKey: .flops)
        try container.encode(levels, forKey: .levels)
        try container.encode(SettingsRecord(setup), forKey: .settings)
        try container.encode(setup.loss, forKey: .loss)
        try container.encode(end, forKey: .end)
        if let until = setup.settings.until, let reachedShare {
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
        try container.encodeIfPresent(setup.heldOut, forKey: .validation)
        if let screening { try container.encode(ScreeningRecord(screening), forKey: .screening) }
    }
}

extension RunSummary.Step: Encodable {
    /// Writes the documented keys; numbers that JSON lacks become null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: MeasuredState.Key.self)
        try container.encode(step, forKey: .step)
        try container.encode(edge, forKey: .edge)
        if !state.alongside.isEmpty {
            try container.encode(state.alongside.map(\.description), forKey: .alongside)
        }
        try state.encode(into: &container)
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
    /// Left out for edges that read zeros.
    let units: [String]?
    let replace: Replacement?
    /// Left out where nothing is recovered.
    let recovery: Recovery?
    let fitData: String?

    init(_ setup: RunSetup) {
        let settings = setup.settings
        strategy = settings.strategy.description
        objective = settings.objective
        steps = settings.steps
        until = settings.until?.description
        per = settings.per?.rawValue ?? "removal"
        maximumLossIncrease = settings.maximumLossIncrease.flatMap { $0.isFinite ? $0 : nil }
        maximumAccuracyDrop = settings.maximumAccuracyDrop
        usesBounds = settings.usesBounds
        samples = setup.samples
        blockSize = setup.blockSize
        shards = setup.shards
        let isUsual = setup.units == UnitSelection()
        units = isUsual ? nil : setup.units.kinds.map(\.plural).sorted()
        replace = isUsual ? nil : setup.units.replacement
        recovery = settings.recovery
        fitData = setup.fitData
    }
}
