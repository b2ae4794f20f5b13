internal import ArgumentParser
internal import Pruning
internal import Report

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the pruned model of any step of a run's path.",
        discussion: """
              espalier export espalier-run-model --step 3 --output step-3.onnx

            Reads the run's folder: of a run that is over, that was stopped (as far as it got; with a beam the path to the \
            best state of the last finished step), or that goes on. Step 0 is the unpruned model. Model and data are \
            looked for under the paths that 'prune' was given, from the folder in which this is started; the model must \
            have the same SHA-256. Of the data only the first samples are used, to find sizes and to check the file.
            """)

    @Argument(help: "The run's folder ('prune --run'; espalier-run-MODEL by default).")
    var run: String
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The step: how many removals the model has. (default: the path's last)", valueName: "K"))
    var step: Int?
    @Option(
        name: .long, help: ArgumentHelp("Where to write the model.", valueName: "file"), completion: .file())
    var output: String
    @Option(
        name: .long, help: ArgumentHelp("Where the run's model is now.", valueName: "file"),
        completion: .file())
    var model: String?
    @Option(
        name: .long,
        help: ArgumentHelp("Data for the model's inputs, instead of the run's.", valueName: "data"),
        completion: .file(extensions: ["npz"]))
    var data: String?
    @OptionGroup var json: JSONOption

    func validate() throws {
        if let step, step < 0 { throw ValidationError("--step must be at least 0, the unpruned model") }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(
                beside: [output], given: PathExport.given(run: run, model: model, data: data))
            let export = try PathExport(run: run, step: step, model: model, data: data, output: output)
            if let path = json.path { try JSONOutput.write(export, to: path) }
            if !json.takesStandardOutput { StandardOutput.writeSentences(text(export)) }
        }
    }

    private func text(_ export: PathExport) -> String {
        let note = export.isComplete ? "" : " (the run is not over)"
        let removed =
            export.removed.isEmpty ? "nothing removed" : "without " + export.removed.joined(separator: " ")
        let loss = export.loss.map { "loss \(NumberText.significant($0)), " } ?? ""
        return """
            step \(export.step) of \(export.steps)\(note): \(removed)
            \(loss)\(NumberText.counted(export.parameters, "parameter")), \(NumberText.counted(export.flops, "FLOP"))
            model: \(export.output)

            """
    }
}
