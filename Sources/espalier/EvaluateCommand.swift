internal import ArgumentParser
internal import Pruning
internal import Report

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure the exact loss (and accuracy) of a model with some edges removed.",
        discussion: """
              espalier evaluate example:digits-resnet --remove 4:1 --remove 16:0

            Without --remove, measures the unpruned model.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup var data: DataOptions
    @OptionGroup var removal: RemovalOptions
    @OptionGroup var json: JSONOption

    func run() async throws {
        try await reporting {
            let workload = try Workload(model: model.model, options: data.measurement(for: model.model))
            let report = try await Evaluation(of: removal.mask, in: workload)
            if let path = json.path { try JSONOutput.write(report, to: path) }
            if !json.takesStandardOutput { print(report.text, terminator: "") }
        }
    }
}
