internal import ArgumentParser
internal import ComputationGraph
internal import Pruning
internal import Report
internal import Search

struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Search for the edges whose removal changes the loss least, and write the pruned model.",
        discussion: """
              espalier prune model.onnx --data calibration.npz --steps 6 --output pruned.onnx
              espalier prune model.onnx --data calibration.npz --until flops=0.6 --strategy beam --beam-width 4
              espalier prune model.onnx --data calibration.npz --max-loss-increase 0.05 --workers 8

            Every loss is measured on all samples with the edges really removed; hopeless expansions are dropped as \
            soon as the part that is measured proves them so, which never changes the result. The result is the same \
            to the last bit for any number of workers.

            The run's folder keeps every result as it is measured. After an interruption (Ctrl-C, a crash) go on with \
            'espalier prune --resume --run FOLDER'. A finished run goes on further that way: add --steps, --until or \
            --max-loss-increase.
            """)

    @OptionGroup var workload: WorkloadArguments
    @Option(name: .long, help: "greedy, beam, exhaustive or random.", transform: StrategyName.init)
    var strategy = StrategyName.greedy
    @Option(name: .long, help: ArgumentHelp("States that a beam search keeps per level.", valueName: "K"))
    var beamWidth = 4
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Let greedy remove the best N of a level in one step, where no layer has to do with two of them; what they lose "
                + "together is measured.", valueName: "N"))
    var stepRemovals = 1
    @Option(name: .long, help: "The seed of the random strategy.")
    var seed: UInt64 = 0
    @OptionGroup var search: SearchOptions
    @Option(name: .long, help: ArgumentHelp("Stop before the loss rises by more than X.", valueName: "X"))
    var maxLossIncrease: Double?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Remove nothing that lets the accuracy on the data fall by more than X below the unpruned model's, in shares: "
                + "0.01 is one of a hundred labels. Where nothing else is left, stop.",
            valueName: "X"))
    var maxAccuracyDrop: Double?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Held-out data: every step of the path is measured on them too, and they never choose anything.",
            valueName: "data"))
    var validation: String?
    @Flag(
        name: .long,
        help: "Go as far as it goes when --until cannot be reached, instead of refusing.")
    var bestEffort = false
    @Flag(
        name: .customLong("no-bounds"),
        help: "Evaluate everything, dropping nothing early. The result is the same.")
    var withoutBounds = false
    @OptionGroup(title: "Recovery") var recovery: RecoveryArguments
    @OptionGroup var screening: ScreeningOptions
    @OptionGroup var team: BackendOptions
    @OptionGroup var metrics: MetricsOption
    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "The folder that keeps the run. (default: espalier-run-MODEL)", valueName: "folder"))
    var folder: String?
    @OptionGroup var going: ResumeOptions
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where to write the pruned model. (default: pruned.onnx in the run's folder)", valueName: "file"))
    var output: String?
    @Option(
        name: .customLong("export-step"),
        help: ArgumentHelp(
            "Write the model of step K of the path too, as step-K.onnx in the run's folder; may be given several times. "
                + "'espalier export' does it later.",
            valueName: "K"))
    var exportSteps: [Int] = []
    @OptionGroup var log: LogOption
    @OptionGroup var json: JSONOption

    func validate() throws {
        try team.cluster.checkNumerics(resumes: going.resume)
        if let maxAccuracyDrop, !(0...1).contains(maxAccuracyDrop) {
            throw ValidationError(
                "--max-accuracy-drop must be a share between 0 and 1: 0.01 is one percentage point")
        }
        if exportSteps.contains(where: { $0 < 0 }) {
            throw ValidationError("--export-step must be at least 0, the unpruned model")
        }
        if stepRemovals < 1 { throw ValidationError("--step-removals must be at least 1") }
        if stepRemovals > 1, strategy != .greedy {
            throw ValidationError("--step-removals is for --strategy greedy")
        }
        if beamWidth < 1 { throw ValidationError("--beam-width must be at least 1") }
        if let maxLossIncrease, !(maxLossIncrease >= 0 && maxLossIncrease.isFinite) {
            throw ValidationError("--max-loss-increase must be a number not below 0")
        }
        try screening.check(
            strategy, recovers: !recovery.options.recovery.isNone, trainingSteps: recovery.recover.steps)
    }

    private var settings: SearchSettings {
        var settings = SearchSettings(
            strategy: strategy.strategy(width: beamWidth, seed: seed),
            objective: search.objective(recovers: !recovery.options.recovery.isNone),
            steps: search.steps, until: search.until, maximumLossIncrease: maxLossIncrease,
            maximumAccuracyDrop: maxAccuracyDrop,
            usesBounds: !withoutBounds, screening: screening.settings, per: search.pricedQuantity,
            recovery: recovery.options.recovery)
        settings.stepRemovals = stepRemovals == 1 ? nil : stepRemovals
        return settings
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(
                beside: [output],
                given: workload.given(data: [validation, recovery.fitData, recovery.trainData]))
            var measurement = try workload.measurement(workers: team.sharingWorkers)
            measurement.recovery = recovery.options
            var options = PruneOptions(
                model: workload.model, measurement: measurement,
                candidates: search.selection, search: settings, isBestEffort: bestEffort,
                workers: team.localWorkers, remote: try team.cluster.remote(), metrics: metrics.metrics,
                folder: folder ?? PruneOptions.defaultFolder(for: workload.model), resumes: going.resume,
                allowsMixedNumerics: team.cluster.allowMixedNumerics, output: output,
                validation: validation, exportSteps: exportSteps, commandLine: Invocation.commandLine,
                logger: log.logger("espalier"))
            options.allowsOtherVersion = going.allowOtherVersion
            options.units = search.unitSelection
            options.units.replacement = recovery.replacement(options.units.replacement)
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
                    SummaryText(result.summary).plain
                        + "\nmodel: \(result.model)\n" + result.exported.map { "       \($0)\n" }.joined()
                        + "run:   \(options.folder)\n")
            }
        }
    }
}
