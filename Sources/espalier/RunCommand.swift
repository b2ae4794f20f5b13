internal import ArgumentParser
internal import Pruning
internal import Report

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a model and write its outputs.",
        discussion: "With --remove the outputs are those of the pruned model: removed edges carry zeros.")

    @Argument(help: "The ONNX model: a path, or example:NAME for a bundled one.")
    var model: String?
    @Option(name: .long, help: "The data: an .npz file with one array per model input, by name.")
    var data: String?
    @Option(name: .long, help: "Use only the first N samples.")
    var samples: Int?
    @OptionGroup var removal: RemovalOptions
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The dimension, from 0, in which an input has its samples, or 'none' for one that all samples share.",
            valueName: "name=axis"))
    var batchAxis: [String] = []
    @Option(name: .long, help: "The .npz file to write, one array per model output.")
    var output: String?
    @Option(
        name: .customLong("batch"),
        help: ArgumentHelp("A list of JSON lines with model, data and output.", visibility: .hidden))
    var list: String?
    @OptionGroup var json: JSONOption

    func validate() throws {
        _ = try LossOptions.axes(batchAxis)
        if list != nil { return }
        guard model != nil else { throw ValidationError("a model is needed") }
        guard data != nil || model.flatMap(ModelSource.defaultData) != nil else {
            throw ValidationError("--data is needed: an .npz file with one array per model input")
        }
        guard output != nil else { throw ValidationError("--output is needed: the .npz file to write") }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(
                beside: [output], given: GivenFiles(models: [model], data: [data ?? model], others: [list]))
            if let list {
                try OutputRun.runList(list) { StandardOutput.write($0 + "\n") }
            } else if let model, let data = data ?? ModelSource.defaultData(for: model), let output {
                let written = try OutputRun.run(
                    model: model, data: data, mask: removal.mask, samples: samples, output: output,
                    axes: LossOptions.axes(batchAxis))
                if let path = json.path { try JSONOutput.write(written, to: path) }
            }
        }
    }
}
