internal import ArgumentParser
internal import ComputationGraph
internal import Pruning
internal import Report
internal import Search

struct CompareCommand: AsyncParsableCommand, MeasuringCommand, TeamCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Run several strategies on one model, and show them side by side.",
        discussion: """
              espalier compare example:digits-resnet --steps 5 --report report.html
              espalier compare model.onnx --data d.npz --strategies greedy,beam:4,taylor1

            Strategies: greedy, beam:K, exhaustive, random (with several seeds) or random:SEED, and the criteria of \
            'espalier score', which rank all edges once and remove them in that order. All share one set of workers \
            and every result that two of them need. With --validation every step is measured on held-out data too. With \
            --run a folder keeps all results: 'espalier compare --resume --run FOLDER' goes on, also with other \
            --strategies or --steps.

            With --recover every step is measured after the recovery, greedy-at-cut chooses before it, and a table tells \
            how well each criterion, and the loss at the cut, order what the recovery makes of removals.
            """)

    @OptionGroup(title: "Comparison") var limits: LimitOptions
    @OptionGroup(title: "Comparison") var basics: CompareArguments
    @OptionGroup(title: "Comparison") var going: ResumeOptions
    @OptionGroup var argument: ModelArgument
    @OptionGroup(title: "Data") var data: DataOptions
    @OptionGroup(title: "Loss") var loss: LossOptions
    @OptionGroup(title: "What may be removed") var removable: RemovableOptions
    @OptionGroup(title: "What may be removed") var replacing: ReplaceOption
    @OptionGroup(title: "Recovery") var recovery: RecoveryArguments
    @OptionGroup(title: "Search in detail") var choice: ChoiceOptions
    @OptionGroup(title: "Workers") var local: LocalWorkersOption
    @OptionGroup(title: "Workers on other machines") var cluster: ClusterOptions
    @OptionGroup(title: "Reports") var json: JSONOption
    @OptionGroup(title: "Reports") var log: LogOption

    func validate() throws {
        _ = try measurement()
        let resumes = going.resume
        try cluster.checkNumerics(resumes: resumes)
        if resumes, basics.folder == nil {
            throw ValidationError("--resume needs --run, the folder to go on with")
        }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(
                beside: [basics.report, basics.csv],
                given: given(data: [basics.validation, recovery.fitData, recovery.trainData]))
            var measurement = try measurement(workers: sharingWorkers)
            measurement.recovery = recovery.options
            var options = CompareOptions(
                model: argument.model, measurement: measurement,
                validation: basics.validation,
                candidates: removable.selection, strategies: try Contestant.list(basics.strategies),
                search: SearchSettings(
                    objective: choice.objective(recovers: !recovery.options.recovery.isNone),
                    steps: limits.steps, until: limits.until,
                    per: choice.pricedQuantity(until: limits.until), recovery: recovery.options.recovery),
                seeds: basics.seeds ?? 3, workers: localWorkers, remote: try cluster.remote(),
                logger: log.logger("espalier"), recovery: { [recovery] in recovery.recovery(of: $0) })
            options.units = removable.unitSelection(recovery.replacement(replacing.replace))
            (options.folder, options.resumes) = (basics.folder, going.resume)
            options.allowsOtherVersion = going.allowOtherVersion
            options.allowsMixedNumerics = cluster.allowMixedNumerics
            options.commandLine = Invocation.commandLine
            let comparison: Comparison
            do {
                comparison = try await Comparison(
                    options, interruption: Leaving.interruption(), observer: ProgressDisplay())
            } catch is Interrupted where basics.folder != nil {
                StandardError.writeInterruption(
                    "; everything measured is kept: go on with 'espalier compare --resume --run \(basics.folder ?? "")'"
                )
                throw ExitStatus.interrupted
            }
            if let path = json.path { try JSONOutput.write(comparison, to: path) }
            if let report = basics.report {
                let page = comparison.html(options)
                try TextOutput.write(page, to: report)
            }
            if let csv = basics.csv { try TextOutput.write(comparison.csv, to: csv) }
            if !json.takesStandardOutput {
                StandardOutput.write(comparison.text(width: StandardOutput.width))
                for (entry, model) in zip(comparison.strategies, comparison.models) {
                    StandardOutput.write("model of \(entry.strategy): \(model)\n")
                }
            }
        }
    }
}

/// What is compared, and where the comparison goes.
struct CompareArguments: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What is compared, separated by commas; +least-squares, +train:50 or +none behind one is its recovery.",
            valueName: "list"))
    var strategies = "greedy,random,taylor1"
    @Option(name: .long, help: ArgumentHelp("Seeds of the random baseline. (default: 3)", valueName: "N"))
    var seeds: Int?
    @Option(
        name: .long, help: ArgumentHelp("Held-out data.", valueName: "data"),
        completion: .file(extensions: ["npz"]))
    var validation: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write a page with charts: one HTML file that needs nothing else.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var report: String?
    @Option(
        name: .long, help: ArgumentHelp("Write the table as comma-separated values.", valueName: "file"),
        completion: .file(extensions: ["csv"]))
    var csv: String?
    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "A folder that keeps every result, and in the end table, report and the model of each strategy.",
            valueName: "folder"),
        completion: .directory)
    var folder: String?

    func validate() throws {
        if let seeds, seeds < 1 { throw ValidationError("--seeds must be at least 1") }
        let contestants: [Contestant]
        do { contestants = try Contestant.list(strategies) } catch { throw ValidationError("\(error)") }
        if seeds != nil, !contestants.contains(where: { $0.strategy == .randomSeeds }) {
            throw ValidationError("--seeds goes with the strategy random, without a seed behind it")
        }
    }
}
