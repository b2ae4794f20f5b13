internal import ArgumentParser
internal import Files

/// The command line. One file per command; what commands do is in `Pruning`.
@main
struct Espalier: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "espalier",
        abstract: "Prune the structure of trained neural networks by the exact change of the loss.",
        discussion: """
            Espalier reads an ONNX model as a graph, removes the edges (skip connections, residual branches, attention \
            and MLP blocks) whose removal changes the loss on your data least, measured exactly, and writes a smaller \
            valid ONNX model.

              espalier inspect example:digits-resnet
              espalier prune example:digits-resnet --steps 5 --output pruned.onnx

            An EDGE is NODE:SLOT, the consumer's index in the file's node order and its input slot; 'inspect' lists them.
            Data is an .npz file with one array per model input, by name, and 'labels'.

            Exit codes: 0 done, 64 bad usage, 65 bad input data or model, 69 no workers, 70 internal error, \
            130 interrupted (resumable).
            """,
        version: "0.1.0",
        subcommands: [
            InspectCommand.self, RunCommand.self, EvaluateCommand.self, ScoreCommand.self, PruneCommand.self,
            CompareCommand.self, FinetuneCommand.self, ExportCommand.self, WorkerCommand.self,
            KeygenCommand.self,
            StatusCommand.self,
        ])

    /// Runs the command that the arguments name.
    static func main() async {
        Leaving.prepare()
        let names = configuration.subcommands.compactMap { $0.configuration.commandName }
        if let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-"),
            !(names + ["help"]).contains(word)
        {
            StandardError.write(
                "Error: there is no command '\(word)': there are \(names.joined(separator: ", "))"
                    + Suggestion.text(for: word, among: names) + "\n")
            exit(withError: ExitCode.validationFailure)
        }
        let arguments: [String]
        do { arguments = try Invocation.completed(Array(CommandLine.arguments.dropFirst())) } catch {
            exit(withError: report(error))
        }
        await Invocation.$commandLine.withValue(CommandLine.arguments.prefix(1) + arguments) {
            await main(arguments)
        }
    }
}
