public import ComputationGraph
internal import Datasets
internal import Engine
public import Logging
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
    /// Who competes, in the order of the report.
    public var contenders: [ComparedStrategy]
    /// Objective and stops; the strategy is each contender's.
    public var search: SearchSettings
    /// How many seeds the random baseline takes.
    public var seeds: Int
    /// Worker processes on this machine; 0 computes in this process.
    public var workers: Int
    /// Workers on other machines, instead of those on this one.
    public var remote: RemoteWorkers?
    /// Tells what happens among the workers.
    public var logger: Logger

    /// Options as the command line gives them.
    public init(
        model: String, measurement: MeasurementOptions, validation: String?, candidates: CandidateSelection,
        contenders: [ComparedStrategy], search: SearchSettings, seeds: Int, workers: Int,
        remote: RemoteWorkers? = nil, logger: Logger
    ) {
        self.model = model
        self.measurement = measurement
        self.validation = validation
        self.candidates = candidates
        self.contenders = contenders
        self.search = search
        self.seeds = seeds
        self.workers = workers
        self.remote = remote
        self.logger = logger
    }
}

/// Strategies side by side: on one model, the same data and the same workers.
public struct Comparison: Encodable, Sendable {
    /// A step of one strategy's path.
    public struct Step: Encodable, Sendable {
        /// The number of removals.
        public let step: Int
        /// The removed edges, `NODE:SLOT`.
        public let removed: [String]
        /// What was measured on the data that the search saw.
        public let measured: Evaluation.Measured
        /// The same on held-out data.
        public let validation: Evaluation.Measured?
    }

    /// One strategy's path and work.
    public struct Entry: Encodable, Sendable {
        /// The strategy's name.
        public let strategy: String
        /// From the first removal on.
        public let path: [Step]
        /// The work that it takes alone.
        public let work: WorkCount
        /// The block evaluations that no strategy before it had done already.
        public let newBlockEvaluations: Int
        /// Wall time, with what was shared.
        public let seconds: Double
    }

    /// The unpruned model.
    public let base: Evaluation.Measured
    /// The unpruned model on held-out data.
    public let baseValidation: Evaluation.Measured?
    /// The loss's name.
    public let lossFunction: String
    /// The number of samples.
    public let samples: Int
    /// One entry per strategy.
    public let strategies: [Entry]
    /// Where a surrogate could not be computed as asked.
    public let warnings: [String]

    /// Runs every strategy.
    ///
    /// - Throws: `Interrupted`, and what loading and searching throw.
    public init(
        _ options: CompareOptions, interruption: Interruption, observer: any PruneObserver
    ) async throws {
        var workload = try Workload(model: options.model, options: options.measurement)
        for note in workload.notes { observer.noted(note) }
        var held = try options.validation.map { try HeldOut($0, model: options.model, like: workload) }
        let candidates = try workload.candidates(options.candidates, units: options.units)
        var problem = SearchProblem(
            graph: workload.graph, candidates: candidates, costs: workload.costs, division: workload.division)
        let (strategies, warnings) = try Comparison.strategies(
            options, workload, candidates, interruption, observer: observer)
        let backend = EvaluationBackend(
            workers: options.workers, remote: options.remote, logger: options.logger,
            interruption: interruption, noted: { observer.noted($0) }
        ) { source in
            guard let race = source as? LevelRace else { return }
            observer.advanced(LevelProgress(race))
            try interruption.check()
        }
        let runs = try await Comparison.search(
            strategies, &problem, &workload, options.search, backend, observer: observer)
        held?.use(workload.means)
        guard let base = runs.first?.result.base else {
            throw InputError("there is no strategy to compare")
        }
        let labels = workload.countedLabels
        let states = runs.reduce(0) { $0 + $1.result.path.count }
        let progress = CountedWork("held-out data", unit: "states", total: states, observer: observer)
        var entries: [Entry] = []
        for run in runs {
            var path: [Step] = []
            for (index, state) in run.result.path.enumerated() {
                try interruption.check()
                if held != nil { progress.advanced(to: entries.reduce(index) { $0 + $1.path.count }) }
                path.append(
                    Step(
                        step: index + 1, removed: state.mask.units.map(\.description),
                        measured: Evaluation.Measured(state, labels: labels),
                        validation: try await held?.measured(state.mask)))
            }
            entries.append(
                Entry(
                    strategy: run.strategy.description, path: path, work: run.result.totalWork,
                    newBlockEvaluations: run.newBlockEvaluations, seconds: run.seconds))
        }
        self.strategies = entries
        self.warnings = warnings
        lossFunction = workload.loss.name
        samples = workload.dataset.samples
        self.base = Evaluation.Measured(base, labels: labels)
        baseValidation = try await held?.measured(.empty)
    }
}
