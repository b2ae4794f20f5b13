internal import ArgumentParser
internal import Pruning
internal import Report

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure the exact loss (and accuracy) of a model with some edges removed.",
        discussion: """
              espalier evaluate example:digits-resnet --remove 5:0 --remove 31:0

            Without --remove, measures the unpruned model.
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
            let evaluations: [Evaluation]
            if let list {
                evaluations = try await Evaluation.all(ofMasksIn: list, in: loaded, writingTo: output)
                if let path = json.path { try JSONOutput.write(evaluations, to: path) }
            } else {
                evaluations = [try await Evaluation(of: removal.mask, in: loaded)]
                if let output { try loaded.writePruned(removal.mask, to: output) }
                if let path = json.path { try JSONOutput.write(evaluations[0], to: path) }
            }
            if !json.takesStandardOutput {
                for evaluation in evaluations { print(evaluation.text, terminator: "") }
            }
        }
    }
}
