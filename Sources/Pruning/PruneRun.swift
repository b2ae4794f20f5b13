internal import Cluster
internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Journal
internal import ONNX
public import Report
public import Search
internal import Work

/// One `prune`: searches, keeps every result, writes the pruned model and checks it.
public final class PruneRun {
    private let options: PruneOptions
    private var workload: Workload
    private var heldOut: HeldOut?
    private var problem: SearchProblem
    private let journal: RunJournal
    private let interruption: Interruption
    private let board: StatusBoard
    /// What this machine computes on the reference block.
    private let proof: [UInt8]
    /// The stages under which the journal keeps the weights of states.
    private var weightsStages: [WeightsID: Int] = [:]

    /// What a finished run leaves.
    public struct Result {
        /// What the search found.
        public let search: SearchResult
        /// The JSON form.
        public let summary: RunSummary
        /// The pruned model's file.
        public let model: String
        /// The models of other steps of the path that were written (`--export-step`).
        public let exported: [String]
    }

    /// Loads model and data, and opens the run's folder.
    ///
    /// - Throws: errors that name the file, array, node, edge or folder.
    public init(_ options: PruneOptions, interruption: Interruption, observer: any PruneObserver) throws {
        self.options = options
        self.interruption = interruption
        let board = StatusBoard(
            model: options.model, data: options.measurement.data, observer: observer)
        self.board = board
        if let output = options.output { try OutputFile.checkWritable(output) }
        try OutputFile.checkFolder(options.folder)
        if !options.resumes, !RunJournal.exists(in: options.folder) {
            try OutputFile.checkFresh(
                options.folder,
                ["pruned.onnx", "summary.json", "summary.txt", "path.csv", "fit-samples.npz"]
                    + options.exportSteps.map { "step-\($0).onnx" })
        }
        workload = try Workload(model: options.model, options: options.measurement)
        for note in workload.notes { board.note(note) }
        if let data = options.validation {
            heldOut = try HeldOut(data, model: options.model, like: workload)
            if let warning = try heldOut?.overlapWarning() { board.note(warning) }
        }
        let candidates = try workload.candidates(options.candidates, units: options.units)
        if let note = workload.orderNote(candidates) { board.note(note) }
        problem = SearchProblem(
            graph: workload.graph, candidates: candidates, costs: workload.costs, division: workload.division,
            countedLabels: options.search.maximumAccuracyDrop == nil ? nil : workload.countedLabels)
        if options.search.maximumAccuracyDrop != nil, problem.countedLabels == nil {
            throw SearchError.noAccuracy
        }
        try PruneRun.checkReach(problem, options) { board.note($0) }
        let identity = try RunIdentity(
            workload, model: options.model, settings: RunSettings(options, workload),
            commandLine: options.commandLine)
        proof = try workload.numericsProof()
        let room = DiskFullRetry(interruption: interruption, board: board) { board.note($0) }
        journal = try RunJournal.opened(
            in: options.folder, identity, resumes: options.resumes,
            allowsOtherVersion: options.allowsOtherVersion, room
        ) { RunSettings.comparison($0, $1) { board.note($0) } }
        try journal.checkNumerics(proof, allowsOthers: options.allowsMixedNumerics, room) { board.note($0) }
        workload.storedWeights = { [unowned self] in try keptWeights($0) }
        heldOut?.storedWeights = workload.storedWeights
    }

    /// Checks that the budget can be reached at all.
    ///
    /// - Throws: `InputError` that names what can be reached, unless the run is to go as far as it goes.
    private static func checkReach(
        _ problem: SearchProblem, _ options: PruneOptions, warn: (String) -> Void
    ) throws(InputError) {
        guard let budget = options.search.until else { return }
        let base = problem.costs.cost(of: .empty)
        let reach = problem.reach(of: budget.quantity, downTo: budget.fraction)
        guard !budget.isMet(by: reach, base: base) else { return }
        let share = Double(reach[budget.quantity]) / Double(max(1, base[budget.quantity]))
        let rounded = (share * 1000).rounded(.up) / 1000
        let reason =
            "\(budget) cannot be reached: about \(budget.quantity.rawValue)=\(rounded) is left when everything goes that "
            + "may (\(problem.candidates.representatives.count) candidates)"
        guard options.isBestEffort else {
            throw InputError(
                reason + "; ask for that, let more go (--candidates branches or all), or take --best-effort")
        }
        warn("warning: " + reason + "; going as far as it goes")
    }

    /// Waits for room on the disk, and says so.
    private var room: DiskFullRetry {
        DiskFullRetry(interruption: interruption, board: board) { [board] in board.note($0) }
    }

    /// Does `body`, which writes a result, as often as the disk is full.
    ///
    /// - Throws: what else `body` throws; `Interrupted` when the user stops the run while it waits.
    public func waitingForRoom<Value>(_ body: () throws -> Value) throws -> Value { try room.retrying(body) }

    /// Searches, and writes the result.
    ///
    /// - Throws: `Interrupted` when the user stops the run; everything measured until then is kept. Of a run that could not start
    ///   nothing is left.
    public func perform() async throws -> Result {
        do { return try await searchAndWrite() } catch {
            if !options.resumes, !(error is Interrupted) {
                journal.abandonWithoutResults(["fit-samples.npz"])
            }
            throw error
        }
    }

    private func searchAndWrite() async throws -> Result {
        board.record(
            .began(
                RunSetup(
                    settings: options.search, units: options.units, loss: workload.loss.name,
                    division: workload.division,
                    countedLabels: workload.countedLabels, heldOut: heldOut?.summary,
                    fitData: workload.fit?.origin, names: workload.names)))
        var metrics: MetricsServer?
        if let address = options.metrics {
            let server = try await MetricsServer(address: address, board: board)
            metrics = server
            board.note("metrics at http://\(server.address)/metrics")
        }
        defer { metrics?.stop() }
        let (found, attendance) = try await search()
        try await measureHeldOut(found)
        let end = board.time
        board.record(
            .ended(
                RunEnding(
                    found, graph: workload.graph, blockNames: blockNames(of: found.path.compactMap(\.unit)),
                    report: workload.lossReport(of: found.path.last?.mask ?? .empty),
                    workers: attendance.workers, mixedNumerics: try journal.machines(otherThan: proof))),
            at: end)
        guard let summary = board.summary else { throw SearchError.baseNotMeasured }
        try room.retrying { try JSONOutput.write(summary, to: options.folder + "/summary.json") }
        try room.retrying {
            try TextOutput.write(SummaryText(summary).plain, to: options.folder + "/summary.txt")
        }
        try room.retrying {
            try TextOutput.write(PathCSV(summary).description, to: options.folder + "/path.csv")
        }
        try room.retrying {
            try journal.complete(
                RunOutcome(path: found.path, seconds: summary.seconds, workers: attendance.workers))
        }
        // What was found is kept by now: a model that fails its check does not lose the search.
        let path = try write(found)
        return Result(search: found, summary: summary, model: path, exported: try exportSteps(of: found))
    }

    /// Says which removal reaches the budget, where the search goes on with another one.
    private func noteReached(_ outcome: LevelOutcome) {
        guard let budget = options.search.until, options.search.per == budget.quantity,
            outcome.best.count > 1, let last = outcome.best.last, let unit = last.unit,
            budget.isMet(by: last.cost, base: workload.costs.cost(of: .empty))
        else { return }
        board.note("  removing \(unit) instead reaches \(budget), loss \(NumberText.significant(last.loss))")
    }

    /// The modules that go with edges, where the file tells.
    private func blockNames(of units: [Unit]) -> [Edge: String] {
        let blocks = workload.graph.blocks(among: units.compactMap(\.plainEdge), costs: workload.costs)
        return Dictionary(blocks.compactMap { block in block.name.map { (block.edge, $0) } }) { first, _ in
            first
        }
    }

    private func search() async throws -> (SearchResult, EvaluationBackend.WorkerCount) {
        let (observer, interruption, board) = (board.observer, interruption, board)
        let start = ContinuousClock.now
        var backend = EvaluationBackend(
            workers: options.workers, remote: options.remote, proof: proof, logger: options.logger,
            interruption: interruption, noted: { board.note($0) }, board: board
        ) { source in
            if let statistics = source as? StatisticsSource {
                let (done, total) = statistics.progress
                observer?.working(
                    ProgressLine(
                        label: statistics.label, unit: "parts", done: done, total: total,
                        elapsed: (ContinuousClock.now - start) / .seconds(1)))
                return try interruption.check()
            }
            guard let race = source as? LevelRace else { return }
            board.record(.advanced(LevelProgress(race)))
            try interruption.check()
        }
        backend.postMortem = options.folder + "/post-mortem.log"
        return try await backend.evaluate(workload, journal: journal) { runner in
            try await self.measureMeans(on: runner)
            try await self.provideFitSamples(to: runner)
            try await self.problem.orderSlices(on: runner)
            // Workers load model and data meanwhile.
            let surrogate = try self.surrogate()
            return try await Search(
                self.problem, settings: self.options.search, runner: runner, surrogate: surrogate,
                isAlive: self.workload.vetting(),
                madeWeights: { name, _, stage in self.weightsStages[name] = stage }
            ).run { level, outcome in
                try self.room.retrying {
                    try self.journal.finish(
                        stage: level, outcome: outcome.best.map(StateRecord.init), notes: LevelNotes(outcome))
                }
                board.record(.levelFinished(level: level, states: outcome.best, work: outcome.work))
                if let best = outcome.best.first { try await self.measureHeldOut(best, level: level) }
                self.noteReached(outcome)
            }
        }
    }

    /// Measures the means that candidates read, if any do, and gives them to whoever computes.
    private func measureMeans(on runner: any WorkRunner) async throws {
        guard let means = try await workload.measureMeans(for: problem.candidates.units, on: runner) else {
            return
        }
        problem.means = means
        problem.costs = workload.costs
        heldOut?.use(workload.means)
    }

    /// The weights of a state of the search, from the journal.
    private func keptWeights(_ name: WeightsID) throws -> [UInt8] {
        guard let stage = weightsStages[name], let bytes = try journal.weights(name, ofStage: stage) else {
            throw InputError("\(options.folder): the weights \(name) are not in the journal")
        }
        return bytes
    }

    /// Gives the samples that layers are fitted on to whoever computes, and keeps them with the run: any state's model can be
    /// written from them later.
    private func provideFitSamples(to runner: any WorkRunner) async throws {
        guard let fit = workload.fit else { return }
        problem.fitData = try await runner.provide(fit.bytes)
        let path = PruneRun.fitSamplesPath(in: options.folder)
        try room.retrying { try OutputFile.write(fit.bytes, to: path) }
    }

    /// Where a run keeps the samples that layers are fitted on.
    static func fitSamplesPath(in folder: String) -> String { folder + "/fit-samples.npz" }

    /// Measures the states of the path on held-out data: the best of a level need not be on it.
    private func measureHeldOut(_ found: SearchResult) async throws {
        guard heldOut != nil else { return }
        for state in found.path {
            try interruption.check()
            try await measureHeldOut(state, level: nil)
        }
    }

    /// Measures a state on held-out data, where there are any.
    ///
    /// - Parameter level: the level whose best state it is.
    private func measureHeldOut(_ state: State, level: Int?) async throws {
        guard let measurement = try await heldOut?.measured(state.recovered) else { return }
        board.record(.heldOutMeasured(state.variant, measurement, level: level))
    }

    /// Writes the models of the steps that were asked for beside the last one's.
    private func exportSteps(of found: SearchResult) throws -> [String] {
        var files: [String] = []
        for step in Set(options.exportSteps).sorted() {
            guard step <= found.path.count else {
                board.note(
                    "warning: --export-step \(step): the path ends at step \(found.path.count)")
                continue
            }
            let file = options.folder + "/step-\(step).onnx"
            let state = step == 0 ? found.base : found.path[step - 1]
            let model = try MaterialisedModel(state.mask, workload: workload.refitted(state.recovered))
            try room.retrying { try model.write(to: file) }
            files.append(file)
        }
        return files
    }

    /// What orders the work, and with `--screen` limits it.
    ///
    /// A single process advances the smallest bound, and no estimate makes that better: gradients are computed only for
    /// workers to have something to go by before the first results.
    private func surrogate() throws -> SurrogateModel? {
        let purpose: Workload.SurrogatePurpose
        switch (options.search.screening, options.search.strategy) {
        case (.some(let screening), _) where screening.criterion == .surrogate: purpose = .screening
        // Gradients tell of the loss at the cut.
        case _ where options.search.recovery != nil: return nil
        case (.some, _): return nil
        case (nil, .greedy), (nil, .beam), (nil, .exhaustive):
            // How many workers come from elsewhere is not known beforehand.
            let isGuided = options.remote != nil || options.workers >= PruneRun.fewestGuidedWorkers
            guard options.search.usesBounds, isGuided else { return nil }
            purpose = .ordering
        case (nil, _): return nil
        }
        return try workload.surrogateModel(
            of: problem.candidates.representatives, for: purpose, interruption: interruption
        ) { warning in board.note("warning: " + warning) }
    }

    /// Below that, estimates from gradients save less than they cost.
    private static let fewestGuidedWorkers = 4

    /// Writes the model of the path's last state, and checks by running it that it computes the same.
    private func write(_ found: SearchResult) throws -> String {
        let state = found.path.last ?? found.base
        guard state.nonFiniteLosses <= found.base.nonFiniteLosses else {
            throw NonFiniteError(subject: "the loss")
        }
        for warning in try workload.sizeWarnings() { board.note("warning: " + warning) }
        let inFolder = options.folder + "/pruned.onnx"
        for warning in try workload.recoveryWarnings(of: state.recovered) {
            board.note("warning: " + warning)
        }
        let model = try MaterialisedModel(state.mask, workload: workload.refitted(state.recovered))
        try room.retrying { try model.write(to: inFolder) }
        if let output = options.output { try room.retrying { try model.write(to: output) } }
        return options.output ?? inFolder
    }
}
