internal import ComputationGraph
internal import Foundation
internal import Report
internal import Search

extension Comparison {
    /// The tables for people: for each level, every strategy.
    ///
    /// - Parameter width: how many characters a line may have, as far as that can be.
    public func text(width: Int) -> String {
        var text =
            "\(lossFunction) on \(NumberText.counted(samples, "sample")); unpruned: "
            + "loss \(Self.number(base.measurement.finiteLoss))"
        text += base.accuracy.map { ", accuracy \(NumberText.percent($0))" } ?? ""
        text += base.heldOut.map { ", held-out loss \(Self.number($0.finiteLoss))" } ?? ""
        text += ", \(NumberText.counted(base.cost.parameters, "parameter")), "
        text += NumberText.counted(base.cost.flops, "FLOP") + "\n\n"
        text = ParagraphText.filled(text, width: width) + levels.text(width: width)
        text += "\nWork, in blocks measured\n" + workTable.text(width: width)
        var front = TextTable(
            ["parameters left", "FLOPs left", "loss", "strategy", "step"], lists: ["strategy"])
        for (entry, step, state) in paretoFront {
            front.append([
                left(state.cost.parameters, base.cost.parameters), left(state.cost.flops, base.cost.flops),
                Self.number(state.measurement.finiteLoss), entry.strategy, "\(step)",
            ])
        }
        text += "\nPareto front of loss and FLOPs over all strategies\n" + front.text(width: width)
        if !agreements.isEmpty {
            text +=
                "\nCriteria against the exact loss after the recovery\n" + agreementTable.text(width: width)
        }
        for warning in warnings { text += ParagraphText.filled("warning: \(warning)\n", width: width) }
        return text
    }

    private var levels: TextTable {
        var titles = ["step", "strategy", "loss", "accuracy", "parameters left", "FLOPs left"]
        if fitData != nil { titles.append("at the cut") }
        if base.heldOut != nil { titles += ["held-out loss", "held-out accuracy"] }
        var levels = TextTable(titles, lists: ["strategy"], dispensable: ["at the cut", "parameters left"])
        for step in 1...max(1, strategies.map(\.path.count).max() ?? 1) {
            for entry in strategies where entry.path.count >= step {
                levels.append(["\(step)", entry.strategy] + cells(entry.path[step - 1]))
            }
        }
        return levels
    }

    private var workTable: TextTable {
        var work = TextTable(
            [
                "strategy", "measured", "of all", "share", "new", "with perfect foresight", "time",
            ], lists: ["strategy"])
        for entry in strategies {
            work.append([
                entry.strategy, NumberText.grouped(entry.work.blockEvaluations),
                NumberText.grouped(entry.work.bruteForceBlockEvaluations),
                NumberText.share(entry.work.blockEvaluations, of: entry.work.bruteForceBlockEvaluations),
                NumberText.grouped(entry.newBlockEvaluations),
                NumberText.grouped(entry.work.oracleBlockEvaluations), NumberText.duration(entry.seconds),
            ])
        }
        return work
    }

    private var agreementTable: TextTable {
        var table = TextTable(["removals", "criterion", "Kendall", "regret", "rank of its first choice"])
        for agreement in agreements {
            table.append([
                "\(agreement.step)", agreement.criterion,
                agreement.kendall.map { String(format: "%.2f", $0) } ?? "undefined",
                agreement.regret.map(NumberText.significant) ?? "",
                agreement.exactRank.map { "\($0) of \(agreement.compared)" } ?? "",
            ])
        }
        return table
    }

    /// The same as comma-separated values: one line per strategy and step.
    public var csv: String {
        var lines = [
            "strategy,step,removed,loss,accuracy,parameters,flops,held_out_loss,held_out_accuracy,"
                + "block_evaluations,new_block_evaluations,seconds"
        ]
        for entry in strategies {
            for (index, state) in entry.path.enumerated() {
                let measured = [state.measurement.finiteLoss, state.accuracy]
                let heldOut = [state.heldOut?.finiteLoss, state.heldOut?.accuracy]
                let fields: [String] =
                    [entry.strategy, "\(index + 1)", state.removed.map(\.description).joined(separator: " ")]
                    + measured.map { $0.map { "\($0)" } ?? "" }
                    + ["\(state.cost.parameters)", "\(state.cost.flops)"]
                    + heldOut.map { $0.map { "\($0)" } ?? "" }
                    + ["\(entry.work.blockEvaluations)", "\(entry.newBlockEvaluations)", "\(entry.seconds)"]
                lines.append(fields.joined(separator: ","))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The steps of all strategies that no other beats in both loss and FLOPs, most expensive first.
    var paretoFront: [(entry: Entry, step: Int, state: MeasuredState)] {
        let all = strategies.flatMap { entry in
            entry.path.enumerated().map { (entry: entry, step: $0.offset + 1, state: $0.element) }
        }
        return ParetoFront.indices(
            of: all.map { (Double($0.state.cost.flops), $0.state.loss) }, .lowest
        ).map { all[$0] }
    }

    private func cells(_ state: MeasuredState) -> [String] {
        func cells(_ measurement: MeasuredState.Measurement?) -> [String] {
            [Self.number(measurement?.finiteLoss), measurement?.accuracy.map(NumberText.percent) ?? ""]
        }
        let seen =
            cells(state.measurement)
            + [left(state.cost.parameters, base.cost.parameters), left(state.cost.flops, base.cost.flops)]
            + (fitData != nil ? [state.atCut.map { Self.number($0.finiteLoss) } ?? "-"] : [])
        return base.heldOut != nil ? seen + cells(state.heldOut) : seen
    }

    /// A share of the unpruned model's cost.
    private func left(_ part: Int, _ whole: Int) -> String { NumberText.share(part, of: whole) }

    /// A loss in four digits.
    private static func number(_ value: Double?) -> String {
        value.map(NumberText.significant) ?? "not finite"
    }
}
