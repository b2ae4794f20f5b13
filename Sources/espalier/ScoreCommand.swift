public import ArgumentParser
internal import ComputationGraph
internal import Foundation
public import Pruning
internal import Report
internal import Search

struct ScoreCommand: AsyncParsableCommand, MeasuringCommand {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract: "Estimate cheaply how much every candidate edge matters, and check the estimate.",
        discussion: """
              espalier score example:digits-resnet --criterion taylor1
              espalier score example:digits-resnet --criterion taylor2 --exact

            Every candidate edge e gets a gate z that multiplies its value; removing the edge sets z from 1 to 0. With \
            the gate gradient g and the gate Hessian H of the loss, removing e changes the loss by about −g + H/2. A \
            smaller score is to be removed sooner.

              taylor1       |−g|, from one backward pass (Molchanov et al. 2019)
              taylor2       |−g + H_ee/2|, one more backward pass per edge (Optimal Brain Damage 1990)
              taylor2-full  |−g + row sum of H / 2|: the edge's share in removing all candidates (after OBS 1993)
              gauss-newton  taylor2 with the Gauss-Newton matrix for H: never negative curvature
              fisher        half the mean squared per-sample gradient (Theis et al. 2018)
              flow          nats per sample that pass the edge, against all that enters its layer: the coding rate \
            from one forward pass, without labels or gradients (Ma et al. 2007, Yu et al. 2020)
              magnitude     L2 norm of the weights that feed the edge (after Li et al. 2017)
              synflow       sensitivity of the summed outputs, with an input of ones and absolute weights: no data \
            (Tanaka et al. 2020)
              random        the baseline

            With --objective signed the Taylor criteria keep their sign: edges whose removal should lower the loss \
            come first. --remove scores what is left when some edges are gone already. --exact measures every candidate's removal and tells how well the scores order them: Spearman's \
            rho and Kendall's tau-b (1 is the same order), and the regret, which is how much worse the first choice is \
            than the best edge. A loss that compares the model with itself (kl, self-mse) has no gradient at the full \
            model: use a second-order criterion there.

            Where an operator lacks a derivative, a simpler criterion, or an edge's measured change, stands in; a \
            warning names what.

            JSON: {"criterion", "requested", "objective", "lossFunction", "samples", "removed": [edge…], "base": {"loss", "accuracy", \
            "parameters", "flops", "nonFiniteLosses"}, "scores": [{"edge": {"node", "slot", "consumer", "tensor"}, \
            "score", "predictedChange", "exactChange", "exactLoss"}…] in order of edges, "hessian": [[…]…] in the same \
            order, "spearman", "kendall", "regret": {"chosen", "best", "regret", "exactRank"}, "warnings": […]}; what \
            does not apply is left out.
            """)

    @OptionGroup var argument: ModelArgument
    @OptionGroup(title: "Data") var data: DataOptions
    @OptionGroup(title: "Loss") var loss: LossOptions
    @Option(
        name: .long,
        help: ArgumentHelp(
            "How edges are scored: \(Criterion.allCases.map(\.rawValue).joined(separator: ", "))."))
    var criterion = Criterion.taylor1
    @Option(
        name: .long,
        help: "Which edges to score: blocks, branches, all, or a regular expression on names and operators.")
    var candidates = "blocks"
    @Option(
        name: .long,
        help: "What counts as little: absolute (in either direction) or signed (a fall is better).")
    var objective = Objective.absolute
    @Option(name: .long, help: "The seed of the criterion random.")
    var seed: UInt64 = 0
    @OptionGroup var removal: RemovalOptions
    @Flag(name: .long, help: "Measure the exact change of every candidate too, and compare.")
    var exact = false
    @OptionGroup var json: JSONOption

    func validate() throws { _ = try measurement() }

    func run() async throws {
        let interruption = Leaving.interruption()
        try await reporting {
            do {
                try json.checkWritable(given: given())
                let loaded = try Workload(model: argument.model, options: measurement())
                for note in loaded.notes { StandardError.write("espalier: \(note)\n") }
                let progress = ProgressDisplay()
                let report = try await ScoreReport(
                    ScoreOptions(
                        criterion: criterion, candidates: .init(argument: candidates), objective: objective,
                        state: removal.mask, seed: seed,
                        measuresExactly: exact), of: loaded, interruption: interruption, observer: progress)
                progress.clear()
                for warning in report.warnings { StandardError.write("warning: \(warning)\n") }
                if let path = json.path { try JSONOutput.write(report, to: path) }
                if !json.takesStandardOutput { StandardOutput.write(text(report)) }
            } catch is Interrupted {
                StandardError.writeInterruption("")
                throw ExitStatus.interrupted
            }
        }
    }

    private func text(_ report: ScoreReport) -> String {
        var text =
            "\(report.criterion.rawValue) on \(NumberText.counted(report.samples, "sample")), \(report.lossFunction)"
        text +=
            report.base.measurement.finiteLoss.map {
                ", loss of the \(report.removed == nil ? "full" : "pruned") model \(digits($0))\n"
            } ?? "\n"
        var titles = ["rank", "edge", "score"]
        if report.scores.contains(where: { $0.predictedChange != nil }) { titles.append("predicted change") }
        if exact { titles += ["exact change", "exact rank"] }
        var table = TextTable(titles + ["consumer", "tensor"], lists: ["edge"], dispensable: ["tensor"])
        let exactOrder = report.scores.compactMap { $0.exactLoss.map(value) }.sorted()
        let sorted = report.scores.enumerated().sorted {
            ($0.element.score ?? .infinity, $0.offset) < ($1.element.score ?? .infinity, $1.offset)
        }
        for (rank, entry) in sorted.map(\.element).enumerated() {
            var row = [
                "\(rank + 1)", "\(entry.edge.node):\(entry.edge.slot)", entry.score.map(digits) ?? "?",
            ]
            if titles.contains("predicted change") { row.append(entry.predictedChange.map(digits) ?? "?") }
            if exact {
                row.append(entry.exactChange.map(digits) ?? "?")
                row.append(
                    entry.exactLoss.map { loss in "\(1 + exactOrder.count { $0 < value(loss) })" } ?? "?")
            }
            table.append(row + [entry.edge.consumer, entry.edge.tensor])
        }
        text += table.text(width: StandardOutput.width)
        func value(_ loss: Double) -> Double {
            report.objective.value(loss: loss, base: report.base.measurement.finiteLoss ?? 0)
        }
        guard exact else { return text }
        text += "\nSpearman \(report.spearman.map(digits) ?? "undefined"), "
        text += "Kendall \(report.kendall.map(digits) ?? "undefined")\n"
        if let regret = report.regret {
            text +=
                "first choice \(regret.chosen.node):\(regret.chosen.slot), exact rank \(regret.exactRank); "
            text += "best \(regret.best.node):\(regret.best.slot); regret \(digits(regret.regret))\n"
        }
        return text
    }

    /// Four significant digits.
    private func digits(_ value: Double) -> String { NumberText.significant(value) }
}

extension Criterion: ExpressibleByArgument {}
