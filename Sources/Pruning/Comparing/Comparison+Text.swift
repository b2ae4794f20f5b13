internal import ComputationGraph
internal import Foundation
internal import Report
internal import Search

extension Comparison {
    /// The table for people: for each level, every strategy.
    public var text: String {
        var text =
            "\(lossFunction) on \(samples) samples; unpruned: loss \(Self.number(base.measurement.finiteLoss))"
        text += base.accuracy.map { ", accuracy \(Self.percent($0))" } ?? ""
        text += base.heldOut.map { ", held-out loss \(Self.number($0.finiteLoss))" } ?? ""
        var titles = ["step", "strategy", "loss", "accuracy", "parameters", "FLOPs"]
        if fitData != nil { titles.append("at the cut") }
        if base.heldOut != nil { titles += ["held-out loss", "held-out accuracy"] }
        var levels = TextTable(titles)
        for step in 1...max(1, strategies.map(\.path.count).max() ?? 1) {
            for entry in strategies where entry.path.count >= step {
                levels.append(
                    ["\(step)", entry.strategy]
                        + Self.cells(
                            entry.path[step - 1], withHeldOut: base.heldOut != nil,
                            isRecovered: fitData != nil))
            }
        }
        var work = TextTable(["strategy", "block evaluations", "of brute force", "new", "seconds"])
        for entry in strategies {
            let share =
                Double(entry.work.blockEvaluations) / Double(max(1, entry.work.bruteForceBlockEvaluations))
            work.append([
                entry.strategy, "\(entry.work.blockEvaluations)", Self.percent(share),
                "\(entry.newBlockEvaluations)", String(format: "%.2f", entry.seconds),
            ])
        }
        var front = TextTable(["parameters", "FLOPs", "loss", "strategy", "step"])
        for (entry, step, state) in paretoFront {
            front.append([
                "\(state.cost.parameters)", "\(state.cost.flops)",
                Self.number(state.measurement.finiteLoss), entry.strategy, "\(step)",
            ])
        }
        text += "\n\n" + levels.description + "\nWork\n" + work.description
        text += "\nPareto front of loss and FLOPs over all strategies\n" + front.description
        if !agreements.isEmpty {
            var table = TextTable(["removals", "criterion", "Kendall", "regret", "rank of its first choice"])
            for agreement in agreements {
                table.append([
                    "\(agreement.step)", agreement.criterion,
                    agreement.kendall.map { String(format: "%.2f", $0) } ?? "undefined",
                    agreement.regret.map { String(format: "%.3g", $0) } ?? "",
                    agreement.exactRank.map { "\($0) of \(agreement.compared)" } ?? "",
                ])
            }
            text += "\nCriteria against the exact loss after the recovery\n" + table.description
        }
        for warning in warnings { text += "warning: \(warning)\n" }
        return text
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

    private static func cells(_ state: MeasuredState, withHeldOut: Bool, isRecovered: Bool) -> [String] {
        func cells(_ measurement: MeasuredState.Measurement?) -> [String] {
            [number(measurement?.finiteLoss), measurement?.accuracy.map(percent) ?? ""]
        }
        let seen =
            cells(state.measurement) + ["\(state.cost.parameters)", "\(state.cost.flops)"]
            + (isRecovered ? [state.atCut.map { number($0.finiteLoss) } ?? "-"] : [])
        return withHeldOut ? seen + cells(state.heldOut) : seen
    }

    private static func number(_ value: Double?) -> String {
        value.map(NumberText.significant) ?? "not finite"
    }
    private static func percent(_ value: Double) -> String { String(format: "%.2f%%", value * 100) }
}
