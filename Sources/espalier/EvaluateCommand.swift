internal import ArgumentParser
internal import ComputationGraph
internal import Pruning
internal import Report

struct EvaluateCommand: AsyncParsableCommand, MeasuringCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure the exact loss (and accuracy) of a model with some edges removed.",
        discussion: """
              espalier evaluate example:digits-resnet --remove 5:0 --remove 31:0

              espalier evaluate example:digits-resnet --remove 31:0 --replace mean
              espalier evaluate example:digits-resnet --masks masks.txt --workers 4

            Without --remove, measures the unpruned model. With --masks, a line that is wrong is named and the others are \
            measured; the exit code is then 65.
            """)

    @OptionGroup var argument: ModelArgument
    @OptionGroup(title: "Data") var data: DataOptions
    @OptionGroup(title: "Loss") var loss: LossOptions
    @OptionGroup var removal: RemovalOptions
    @OptionGroup var replacing: ReplaceOption
    @OptionGroup(title: "Recovery") var recovery: RecoveryArguments
    @Option(
        name: .customLong("masks"),
        help: ArgumentHelp(
            "Measure many masks: a text file with one mask per line, its units (31:0, layer@12:0=bypass) separated by blanks.",
            valueName: "file"), completion: .file())
    var list: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write the pruned model too; with --masks a folder, which gets 0.onnx, 1.onnx, and so on.",
            valueName: "file"), completion: .file())
    var output: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --masks: worker processes on this machine; 0 measures in this process. The losses are the same.",
            valueName: "N"))
    var workers = 0
    @OptionGroup(title: "Workers on other machines") var cluster: ClusterOptions
    @OptionGroup var log: LogOption
    @OptionGroup var json: JSONOption

    private var replacement: Replacement { recovery.replacement(replacing.replace) }
    private var usesWorkers: Bool { workers > 0 || cluster.bind != nil }

    func validate() throws {
        _ = try measurement()
        if list != nil && !removal.units.isEmpty {
            throw ValidationError("--remove and --masks exclude each other")
        }
        if !(0...1024).contains(workers) { throw ValidationError("--workers must be between 0 and 1024") }
        if usesWorkers, list == nil { throw ValidationError("--workers and --bind need --masks") }
        if recovery.recover.repeats > 1 {
            throw ValidationError(
                "--recover: repeated trainings (\(recovery.recover)) choose in a search; evaluate measures one"
            )
        }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(
                beside: [list == nil ? output : nil],
                given: given(data: [recovery.fitData, recovery.trainData], others: [list]))
            var options = try measurement(workers: usesWorkers ? max(workers, 1) : 0)
            options.recovery = recovery.options
            var loaded = try Workload(model: argument.model, options: options)
            for note in loaded.notes { StandardError.write("espalier: \(note)\n") }
            if let list { return try await evaluate(list, in: loaded) }
            let progress = ProgressDisplay()
            let mask = removal.mask.replacing(with: replacement)
            try loaded.checkRemovable(mask)
            try await loaded.measureMeans(for: [mask])
            let evaluation = try await Evaluation(of: mask, in: loaded, observer: progress)
            progress.clear()
            for warning in try loaded.recoveryWarnings(of: loaded.variant(mask)) {
                StandardError.write("espalier: warning: \(warning)\n")
            }
            // What was measured is told before the model is made and checked.
            if let path = json.path { try JSONOutput.write(evaluation, to: path) }
            if !json.takesStandardOutput { StandardOutput.writeSentences(evaluation.text) }
            if let output {
                for warning in try loaded.sizeWarnings() {
                    StandardError.write("espalier: warning: \(warning)\n")
                }
                try loaded.writePruned(mask, measured: evaluation, to: output)
            }
        }
    }

    /// Shows each result as it comes, and what is wrong with a line among them; then ends with 65.
    private func evaluate(_ list: String, in loaded: Workload) async throws {
        if usesWorkers { return try finish(await onWorkers(list, loaded), list) }
        let results = try await MaskEvaluation.all(
            ofMasksIn: list, replacement: replacement, in: loaded, writingTo: output,
            interruption: Leaving.interruption()
        ) { result, line in
            if let error = result.error {
                StandardError.write("espalier: \(error)\n")
            } else if let evaluation = result.evaluation, !json.takesStandardOutput {
                StandardOutput.writeSentences(evaluation.text)
            }
            StandardError.show { line }
        }
        StandardError.clear()
        try finish(results, list)
    }

    private func onWorkers(_ list: String, _ loaded: Workload) async throws -> [MaskEvaluation] {
        let progress = ProgressDisplay()
        defer { progress.clear() }
        let results = try await MaskEvaluation.all(
            ofMasksIn: list, replacement: replacement, in: loaded, workers: workers,
            remote: try cluster.remote(), writingTo: output, logger: log.logger("espalier"),
            interruption: Leaving.interruption(), observer: progress)
        progress.clear()
        for result in results {
            if let error = result.error {
                StandardError.write("espalier: \(error)\n")
            } else if let evaluation = result.evaluation, !json.takesStandardOutput {
                StandardOutput.writeSentences(evaluation.text)
            }
        }
        return results
    }

    private func finish(_ results: [MaskEvaluation], _ list: String) throws {
        if let path = json.path { try JSONOutput.write(results, to: path) }
        let wrong = results.count { $0.error != nil }
        guard wrong == 0 else {
            StandardError.write(
                "espalier: \(wrong) of \(results.count) lines of \(list) could not be measured\n")
            throw ExitStatus.badInput
        }
    }
}
