internal import ArgumentParser
internal import Pruning
internal import Report

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure the exact loss (and accuracy) of a model with some edges removed.",
        discussion: """
              espalier evaluate example:digits-resnet --remove 5:0 --remove 31:0

            Without --remove, measures the unpruned model. With --masks, a line that is wrong is named and the others are \
            measured; the exit code is then 65.
            """)

    @OptionGroup var workload: WorkloadArguments
    @OptionGroup var removal: RemovalOptions
    @Option(
        name: .customLong("masks"),
        help: ArgumentHelp(
            "Measure many masks: a text file with one mask per line, its edges separated by blanks.",
            valueName: "file"))
    var list: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write the pruned model too; with --masks a folder, which gets 0.onnx, 1.onnx, and so on.",
            valueName: "file"))
    var output: String?
    @OptionGroup var json: JSONOption

    func validate() throws {
        if list != nil && !removal.edges.isEmpty {
            throw ValidationError("--remove and --masks exclude each other")
        }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable()
            if let output, list == nil { try OutputFile.checkWritable(output) }
            let loaded = try Workload(model: workload.model, options: workload.measurement())
            for note in loaded.notes { StandardError.write("espalier: \(note)\n") }
            if let list { return try await evaluate(list, in: loaded) }
            let progress = ProgressDisplay()
            let evaluation = try await Evaluation(of: removal.mask, in: loaded, observer: progress)
            progress.clear()
            // What was measured is told before the model is made and checked.
            if let path = json.path { try JSONOutput.write(evaluation, to: path) }
            if !json.takesStandardOutput { print(evaluation.text, terminator: "") }
            if let output {
                for warning in try loaded.sizeWarnings() {
                    StandardError.write("espalier: warning: \(warning)\n")
                }
                try loaded.writePruned(removal.mask, measured: evaluation, to: output)
            }
        }
    }

    /// Shows each result as it comes, and what is wrong with a line among them; then ends with 65.
    private func evaluate(_ list: String, in loaded: Workload) async throws {
        let progress = ListProgress()
        let results = try await MaskEvaluation.all(
            ofMasksIn: list, in: loaded, writingTo: output, interruption: Leaving.interruption()
        ) { result, line in
            progress.clear()
            if let error = result.error {
                StandardError.write("espalier: \(error)\n")
            } else if let evaluation = result.evaluation, !json.takesStandardOutput {
                print(evaluation.text, terminator: "")
            }
            progress.show(line)
        }
        progress.clear()
        if let path = json.path { try JSONOutput.write(results, to: path) }
        let wrong = results.count { $0.error != nil }
        guard wrong == 0 else {
            StandardError.write(
                "espalier: \(wrong) of \(results.count) lines of \(list) could not be measured\n")
            throw ExitStatus.badInput
        }
    }
}
