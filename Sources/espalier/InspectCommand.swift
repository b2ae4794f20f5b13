internal import ArgumentParser
internal import ComputationGraph
internal import Engine
internal import Pruning
internal import Report

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show a model's vertices, edges, candidates, parameters and FLOPs.",
        discussion: """
            Lists the candidates: the edges that a search may remove, each as NODE:SLOT with the consumer's and the \
            tensor's name. Edges whose removal provably computes the same are shown as one.
            """)

    @OptionGroup var model: ModelArgument
    @Option(
        name: .long,
        help: """
            Which edges to list: blocks, branches, all, or a regular expression on module names, node names and \
            operators.
            """)
    var candidates = "blocks"
    @Option(
        name: .long,
        help: ArgumentHelp(
            "List what else may be removed: channels, heads, neurons, with chunks as prune --units takes them (channels:8), and "
                + "why layers have none.", valueName: "kinds"),
        completion: .list(["channels:8", "heads", "neurons:8"]), transform: UnitKinds.init(reading:))
    var units = UnitKinds(kinds: [.edge])
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The shape of an input with symbolic dimensions, e.g. image=1x3x224x224; may be given several times.",
            valueName: "input=shape"))
    var shape: [InputShape] = []
    @Flag(name: .long, help: "List every vertex too.")
    var nodes = false
    @Flag(name: .long, help: "List the parameters that 'finetune' trains.")
    var parameters = false
    @OptionGroup var json: JSONOption

    func run() async throws {
        try await reporting {
            try json.checkWritable(given: GivenFiles(models: [model.model]))
            let summary = try ModelSummary(
                model: model.model, selection: .init(argument: candidates),
                shapes: Dictionary(shape.map { ($0.name, $0.sizes) }) { $1 },
                units: units.selection(replacement: .zero, order: .magnitude, rounding: 1))
            if let path = json.path { try JSONOutput.write(summary, to: path) }
            if !json.takesStandardOutput { StandardOutput.write(text(summary)) }
            // What can be told has been; the exit code and the error say that the model can be neither run nor pruned.
            if let error = summary.whyNotRunnable { throw error }
        }
    }

    private func text(_ summary: ModelSummary) -> String {
        var text = "\(summary.model): ai.onnx \(summary.operatorSet)\n"
        for port in summary.inputs {
            text += "  input   \(port.name): \(port.elementType) [\(port.shape.joined(separator: ", "))]\n"
        }
        for port in summary.outputs {
            text += "  output  \(port.name): \(port.elementType) [\(port.shape.joined(separator: ", "))]"
            text += port.form.map { ", \($0.rawValue)\n" } ?? "\n"
        }
        text += NumberText.counted(summary.vertices, "vertex", "vertices") + ", "
        text += NumberText.counted(summary.edges, "edge") + ", "
        text += NumberText.counted(summary.parameters, "parameter") + ", "
        text +=
            summary.flops.map { "\(NumberText.counted($0, "FLOP")) per sample\n" }
            ?? "FLOPs unknown: \(summary.flopsUnknownBecause ?? "")\n"
        if let hint = summary.flopsHint { text += "  tell the sizes of its inputs, e.g. \(hint)\n" }
        if let assumed = summary.assumedShapes {
            text += "  FLOPs and shapes are for \(assumed), since the model leaves these sizes open\n"
        }
        if nodes {
            var table = TextTable(
                ["node", "operator", "parameters", "FLOPs", "output", "name"], lists: ["output"])
            for node in summary.nodes {
                table.append([
                    "\(node.index)", node.operator, NumberText.grouped(node.parameters),
                    node.flops.map(NumberText.grouped) ?? "?",
                    node.outputShape.map { $0.map(String.init).joined(separator: "x") } ?? "?", node.name,
                ])
            }
            text += "\n" + table.text(width: StandardOutput.width)
        }
        if parameters {
            var table = TextTable(["parameter", "shape", "decays", "read by"], lists: ["shape"])
            for parameter in summary.trainable {
                table.append([
                    parameter.name, parameter.shape.map(String.init).joined(separator: "x"),
                    parameter.decays ? "yes" : "no", parameter.reader,
                ])
            }
            text +=
                "\n\(NumberText.counted(summary.trainable.count, "parameter")) that training changes\n"
                + table.text(width: StandardOutput.width)
        }
        guard summary.unsupported.isEmpty else { return text }
        text += groups(of: summary)
        guard units.kinds.contains(.edge) else { return text }
        text += "\n\(NumberText.counted(summary.candidates.count, "candidate")) (\(candidates))\n"
        let hasBlocks = summary.candidates.contains { $0.block != nil }
        var table = TextTable(
            (hasBlocks ? ["block"] : []) + [
                "edge", "saves parameters", "saves FLOPs", "consumer", "tensor", "same as",
            ], lists: ["edge", "same as"], dispensable: ["tensor"])
        for candidate in summary.candidates {
            let block = candidate.block ?? ""
            table.append(
                (hasBlocks ? [block] : []) + [
                    "\(candidate.node):\(candidate.slot)",
                    share(candidate.saves?.parameters, of: summary.parameters),
                    share(candidate.saves?.flops, of: summary.flops), candidate.consumer, candidate.tensor,
                    candidate.equivalents.joined(separator: " "),
                ])
        }
        text += table.text(width: StandardOutput.width)
        if !summary.hasModuleNames, !summary.candidates.isEmpty {
            text += ParagraphText.filled(
                """
                The file names no modules, so blocks go by their edges alone. PyTorch's exporters write them (node metadata \
                or node names like /layer1/conv1/Conv); simplifiers may drop them.

                """, width: StandardOutput.width)
        }
        return text
    }

    /// The channels, heads and neurons, a line for each group of layers.
    private func groups(of summary: ModelSummary) -> String {
        guard let groups = summary.groups, let fixed = summary.fixedLayers else {
            let wantsGroups = units.kinds.contains(where: \.isSliced)
            return wantsGroups
                ? "\nChannels are followed through the model once it runs: give the sizes of its inputs\n"
                : ""
        }
        var text =
            "\n\(NumberText.counted(groups.count, "group")) of channels, heads or neurons that go together (\(units))\n"
        var table = TextTable(
            ["kind", "count", "units", "saves parameters", "saves FLOPs", "layers"], lists: ["layers"])
        for group in groups {
            let last = group.units.last?.saves
            table.append([
                group.kind.rawValue, "\(group.count)", "\(group.units.count)",
                share(last?.parameters, of: summary.parameters), share(last?.flops, of: summary.flops),
                group.layers.prefix(3).joined(separator: " ")
                    + (group.layers.count > 3 ? " and \(group.layers.count - 3) more" : ""),
            ])
        }
        text += table.text(width: StandardOutput.width)
        guard !fixed.isEmpty else { return text }
        text += "\n\(NumberText.counted(fixed.count, "layer keeps its", "layers keep their")) channels\n"
        var reasons: [String] = []
        for layer in fixed where !reasons.contains(layer.reason) { reasons.append(layer.reason) }
        for reason in reasons {
            let layers = fixed.filter { $0.reason == reason }.map(\.layer)
            text += ParagraphText.filled(
                "  \(reason):\n    \(layers.joined(separator: " "))\n", width: StandardOutput.width)
        }
        return text
    }

    private func share(_ saved: Int?, of whole: Int?) -> String {
        guard let saved, let whole, whole > 0 else { return "?" }
        return NumberText.share(saved, of: whole)
    }
}

/// `INPUT=1x3x224x224`.
struct InputShape: ExpressibleByArgument {
    let name: String
    let sizes: [Int]

    init?(argument: String) {
        guard let equals = argument.lastIndex(of: "=") else { return nil }
        let sizes = argument[argument.index(after: equals)...].split(
            separator: "x", omittingEmptySubsequences: false
        )
        .map { Int($0) }
        guard sizes.allSatisfy({ ($0 ?? -1) >= 0 }) else { return nil }
        name = String(argument[..<equals])
        self.sizes = sizes.compactMap { $0 }
    }
}
