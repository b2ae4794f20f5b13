public import ComputationGraph
internal import Datasets
internal import Engine
public import Logging
public import Report
public import Search

/// What `compare` is asked to do.
public struct CompareOptions: Sendable {
    /// The model: a path or an example.
    public var model: String
    /// What is measured, on which data.
    public var measurement: MeasurementOptions
    /// Held-out data, on which every path is measured too.
    public var validation: String?
    /// What may be removed.
    public var candidates: CandidateSelection
    /// What kinds of units those are, and what they read instead.
    public var units = UnitSelection()
    /// What is compared, in the order of the report.
    public var strategies: [Contestant]
    /// Makes a recovery of the kinds that a strategy names.
    public var recovery: @Sendable (RungList) -> Recovery
    /// Objective and stops; the strategy is set for each search.
    public var search: SearchSettings
    /// How many seeds the random baseline takes.
    public var seeds: Int
    /// Worker processes on this machine; 0 computes in this process.
    public var workers: Int
    /// Workers on other machines, instead of those on this one.
    public var remote: RemoteWorkers?
    /// The folder that keeps results and models; `nil` for none.
    public var folder: String?
    /// Whether to go on with what `folder` holds.
    public var resumes = false
    /// Whether to go on with it although another version of Espalier began it.
    public var allowsOtherVersion = false
    /// Whether to go on with it although its results were computed in other bits than this machine computes.
    public var allowsMixedNumerics = false
    /// What the user typed, word by word: kept with the run.
    public var commandLine: [String] = []
    /// Tells what happens among the workers.
    public var logger: Logger

    /// Options as the command line gives them.
    public init(
        model: String, measurement: MeasurementOptions, validation: String?, candidates: CandidateSelection,
        strategies: [Contestant], search: SearchSettings, seeds: Int, workers: Int,
        remote: RemoteWorkers? = nil, logger: Logger,
        recovery: @escaping @Sendable (RungList) -> Recovery
    ) {
        self.recovery = recovery
        self.model = model
        self.measurement = measurement
        self.validation = validation
        self.candidates = candidates
        self.strategies = strategies
        self.search = search
        self.seeds = seeds
        self.workers = workers
        self.remote = remote
        self.logger = logger
    }
}

extension CompareOptions {
    /// A recovery that needs the data of all those that are compared.
    var widestRecovery: Recovery {
        let all = [measurement.recovery.recovery] + strategies.compactMap { $0.rungs.map(recovery) }
        return all.first { $0.training != nil } ?? all.first { !$0.isNone } ?? .none
    }
}

/// Strategies side by side: on one model, the same data and the same workers.
public struct Comparison: Sendable {
    /// One strategy's path and work.
    public struct Entry: Sendable {
        /// The strategy's name.
        public let strategy: String
        /// The states from the first removal on.
        public let path: [MeasuredState]
        /// The work that it takes alone.
        public let work: WorkCount
        /// The block evaluations that no strategy before it had done already.
        public let newBlockEvaluations: Int
        /// Wall time, with what was shared.
        public let seconds: Double
    }

    /// The unpruned model.
    public let base: MeasuredState
    /// The loss's name.
    public let lossFunction: String
    /// The number of samples.
    public let samples: Int
    /// One entry per strategy.
    public let strategies: [Entry]
    /// How well criteria order removals, held against the exact losses after the recovery; none where nothing is recovered.
    public let agreements: [Agreement]
    /// The data that layers are fitted on, in words; `nil` where nothing is recovered.
    public let fitData: String?
    /// Where a surrogate could not be computed as asked.
    public let warnings: [String]
    /// For each strategy, where a folder keeps the comparison: the file of its model, or why there is none.
    public private(set) var models: [String] = []
    /// The names that the file gives to a removal.
    let names: @Sendable (Unit) -> NamedEdge?

    /// Runs every strategy.
    ///
    /// - Throws: `Interrupted`, and what loading and searching throw.
    public init(
        _ options: CompareOptions, interruption: Interruption, observer: any PruneObserver
    ) async throws {
        var measurement = options.measurement
        measurement.recovery.recovery = options.widestRecovery
        var workload = try Workload(model: options.model, options: measurement)
        let board = StatusBoard(
            model: options.model, data: options.measurement.data, observer: observer)
        for note in workload.notes { board.note(note) }
        var held = try options.validation.map { try HeldOut($0, model: options.model, like: workload) }
        let candidates = try workload.candidates(options.candidates, units: options.units)
        var problem = SearchProblem(
            graph: workload.graph, candidates: candidates, costs: workload.costs, division: workload.division)
        let (strategies, warnings) = try Comparison.strategies(
            options, workload, candidates, interruption, observer: observer)
        let room = DiskFullRetry(interruption: interruption, board: board) { board.note($0) }
        let folder = try ComparisonFolder(
            options, workload, strategies: strategies.map(\.description), room
        ) { board.note($0) }
        let journal = try ComparisonJournal(folder?.journal)
        let backend = EvaluationBackend(
            workers: options.workers, remote: options.remote, logger: options.logger,
            interruption: interruption, noted: { board.note($0) }, board: board
        ) { source in
            guard let race = source as? LevelRace else { return }
            board.record(.advanced(LevelProgress(race)))
            try interruption.check()
        }
        let criteria = options.strategies.compactMap { compared in
            if case .oneShot(let criterion) = compared.strategy { criterion } else { nil }
        }
        let runs: [Run]
        do {
            (runs, agreements) = try await Comparison.search(
                strategies, &problem, &workload, options.search, backend, journal, board, criteria: criteria,
                interruption)
        } catch {
            if !(error is Interrupted) { folder?.abandon() }
            throw error
        }
        fitData = workload.fit?.origin
        held?.use(workload.means)
        held?.storedWeights = workload.storedWeights
        guard let base = runs.first?.result.base else {
            throw InputError("there is no strategy to compare")
        }
        let states = runs.reduce(0) { $0 + $1.result.path.count }
        let progress = CountedWork("held-out data", unit: "states", total: states, observer: observer)
        func measured(_ state: State) async throws -> MeasuredState {
            MeasuredState(
                state, baseLoss: base.loss, countedLabels: workload.countedLabels,
                heldOut: try await held?.measured(state.recovered))
        }
        var entries: [Entry] = []
        for run in runs {
            var path: [MeasuredState] = []
            for (index, state) in run.result.path.enumerated() {
                try interruption.check()
                if held != nil { progress.advanced(to: entries.reduce(index) { $0 + $1.path.count }) }
                path.append(try await measured(state))
            }
            entries.append(
                Entry(
                    strategy: run.strategy.description + run.suffix, path: path, work: run.result.totalWork,
                    newBlockEvaluations: run.newBlockEvaluations, seconds: run.seconds))
        }
        self.strategies = entries
        self.warnings = warnings
        names = workload.names
        lossFunction = workload.loss.name
        samples = workload.division.measured
        self.base = try await measured(base)
        guard let folder else { return }
        for run in runs {
            try interruption.check()
            models.append(
                try folder.write(run.result, of: run.strategy.description + run.suffix, workload, room))
        }
        try folder.finish(self, options, room)
    }
}

// MARK: JSON

extension Comparison: Encodable {
    private enum Key: CodingKey {
        case base, baseValidation, lossFunction, samples, strategies, warnings, agreements, fitData
    }

    /// Writes the documented keys.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(MeasuredState.FixedForm(base), forKey: .base)
        try container.encodeIfPresent(MeasuredState.FixedForm(heldOutOf: base), forKey: .baseValidation)
        try container.encode(lossFunction, forKey: .lossFunction)
        try container.encode(samples, forKey: .samples)
        try container.encode(strategies, forKey: .strategies)
        try container.encode(warnings, forKey: .warnings)
        try container.encodeIfPresent(fitData, forKey: .fitData)
        if !agreements.isEmpty { try container.encode(agreements, forKey: .agreements) }
    }
}

extension Comparison.Entry: Encodable {
    private enum Key: CodingKey { case strategy, path, work, newBlockEvaluations, seconds }
    private enum StepKey: CodingKey { case step, removed, measured, validation, lossAtCut }

    /// Writes the documented keys.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(strategy, forKey: .strategy)
        var steps = container.nestedUnkeyedContainer(forKey: .path)
        for (index, state) in path.enumerated() {
            var step = steps.nestedContainer(keyedBy: StepKey.self)
            try step.encode(index + 1, forKey: .step)
            try step.encode(state.removed.map(\.description), forKey: .removed)
            try step.encode(MeasuredState.FixedForm(state), forKey: .measured)
            try step.encodeIfPresent(MeasuredState.FixedForm(heldOutOf: state), forKey: .validation)
            try step.encodeIfPresent(state.atCut?.finiteLoss, forKey: .lossAtCut)
        }
        try container.encode(work, forKey: .work)
        try container.encode(newBlockEvaluations, forKey: .newBlockEvaluations)
        try container.encode(seconds, forKey: .seconds)
    }
}
