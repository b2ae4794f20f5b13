internal import ArgumentParser
internal import ComputationGraph
internal import Pruning
internal import Report
internal import Search

struct PruneCommand: AsyncParsableCommand, MeasuringCommand, TeamCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Search for the edges whose removal changes the loss least, and write the pruned model.",
        discussion: """
              espalier prune model.onnx --data d.npz --steps 6 --output pruned.onnx
              espalier prune model.onnx --data d.npz --until flops=0.6 --strategy beam:4
              espalier prune model.onnx --data d.npz --max-loss-increase 0.05

            Every loss is measured on all samples with the edges really removed; hopeless expansions are dropped as \
            soon as the part that is measured proves them so, which never changes the result. The result is the same \
            to the last bit for any number of workers.

            The run's folder keeps every result as it is measured. After an interruption (Ctrl-C, a crash) go on with \
            'espalier prune --resume --run FOLDER'. A finished run goes on further that way: add --steps, --until or \
            --max-loss-increase.
            """)

    @OptionGroup(title: "Search") var limits: LimitOptions
    @OptionGroup(title: "Search") var basics: PruneArguments
    @OptionGroup(title: "Search") var going: ResumeOptions
    @OptionGroup var argument: ModelArgument
    @OptionGroup(title: "Data") var data: DataOptions
    @OptionGroup(title: "Loss") var loss: LossOptions
    @OptionGroup(title: "What may be removed") var removable: RemovableOptions
    @OptionGroup(title: "What may be removed") var replacing: ReplaceOption
    @OptionGroup(title: "Recovery") var recovery: RecoveryArguments
    @OptionGroup(title: "Search in detail") var details: SearchDetails
    @OptionGroup(title: "Search in detail") var choice: ChoiceOptions
    @OptionGroup(title: "Search in detail") var screening: ScreeningOptions
    @OptionGroup(title: "Workers") var local: LocalWorkersOption
    @OptionGroup(title: "Workers on other machines") var cluster: ClusterOptions
    @OptionGroup(title: "Reports") var json: JSONOption
    @OptionGroup(title: "Reports") var metrics: MetricsOption
    @OptionGroup(title: "Reports") var log: LogOption
    @OptionGroup(title: "Reports") var exporting: ExportStepOption

    func validate() throws {
        _ = try measurement()
        try cluster.checkNumerics(resumes: going.resume)
        if details.stepRemovals > 1, basics.strategy.name != .greedy {
            throw ValidationError("--step-removals is for --strategy greedy")
        }
        if details.bestEffort, limits.until == nil {
            throw ValidationError("--best-effort goes with --until, the budget that it may miss")
        }
        _ = try strategy
        try screening.check(
            basics.strategy, recovers: recovers, trainingSteps: recovery.recover.steps)
    }

    private var recovers: Bool { !recovery.options.recovery.isNone }

    private var strategy: Strategy {
        get throws { try basics.strategy.strategy(width: details.beamWidth, seed: details.seed) }
    }

    private var settings: SearchSettings {
        get throws {
            var settings = SearchSettings(
                strategy: try strategy, objective: choice.objective(recovers: recovers),
                steps: limits.steps, until: limits.until, maximumLossIncrease: details.maxLossIncrease,
                maximumAccuracyDrop: details.maxAccuracyDrop, usesBounds: !details.withoutBounds,
                screening: screening.settings, per: choice.pricedQuantity(until: limits.until),
                recovery: recovery.options.recovery)
            settings.stepRemovals = details.stepRemovals == 1 ? nil : details.stepRemovals
            return settings
        }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(
                beside: [basics.output],
                given: given(data: [basics.validation, recovery.fitData, recovery.trainData]))
            var measurement = try measurement(workers: sharingWorkers)
            measurement.recovery = recovery.options
            var options = PruneOptions(
                model: argument.model, measurement: measurement,
                candidates: removable.selection, search: try settings,
                isBestEffort: details.bestEffort,
                workers: localWorkers, remote: try cluster.remote(),
                metrics: metrics.metrics,
                folder: basics.folder ?? PruneOptions.defaultFolder(for: argument.model),
                resumes: going.resume,
                allowsMixedNumerics: cluster.allowMixedNumerics, output: basics.output,
                validation: basics.validation, exportSteps: exporting.exportSteps,
                commandLine: Invocation.commandLine,
                logger: log.logger("espalier"))
            options.allowsOtherVersion = going.allowOtherVersion
            options.units = removable.unitSelection(recovery.replacement(replacing.replace))
            let interruption = Leaving.interruption()

            let run = try PruneRun(options, interruption: interruption, observer: ProgressDisplay())
            let result: PruneRun.Result
            do {
                result = try await run.perform()
                if let path = json.path {
                    try run.waitingForRoom { try JSONOutput.write(result.summary, to: path) }
                }
            } catch is Interrupted {
                StandardError.writeInterruption(
                    "; everything measured is kept: go on with 'espalier prune --resume --run \(options.folder)'"
                )
                throw ExitStatus.interrupted
            }
            if !json.takesStandardOutput {
                StandardOutput.write(
                    SummaryText(result.summary).plain(width: StandardOutput.width)
                        + "\nmodel: \(result.model)\n" + result.exported.map { "       \($0)\n" }.joined()
                        + "run:   \(options.folder)\n")
            }
        }
    }
}

/// The steps whose models are written beside the last one's.
struct ExportStepOption: ParsableArguments {
    @Option(
        name: .customLong("export-step"),
        help: ArgumentHelp(
            "Write the model of step K of the path too, as step-K.onnx in the run's folder; may be given several times. "
                + "'espalier export' does it later.",
            valueName: "K"))
    var exportSteps: [Int] = []

    func validate() throws {
        if exportSteps.contains(where: { $0 < 0 }) {
            throw ValidationError("--export-step must be at least 0, the unpruned model")
        }
    }
}
