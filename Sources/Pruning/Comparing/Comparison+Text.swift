internal import Foundation
internal import Report
internal import Search

extension Comparison {
    /// The table for people: for each level, every strategy.
    public var text: String {
        var text = "\(lossFunction) on \(samples) samples; unpruned: loss \(Self.number(base.loss))"
        text += base.accuracy.map { ", accuracy \(Self.percent($0))" } ?? ""
        text += baseValidation.map { ", held-out loss \(Self.number($0.loss))" } ?? ""
        var titles = ["step", "strategy", "loss", "accuracy", "parameters", "FLOPs"]
        if baseValidation != nil { titles += ["held-out loss", "held-out accuracy"] }
        var levels = TextTable(titles)
        for step in 1...max(1, strategies.map(\.path.count).max() ?? 1) {
            for entry in strategies where entry.path.count >= step {
                levels.append(
                    ["\(step)", entry.strategy]
                        + Self.cells(entry.path[step - 1], withHeldOut: baseValidation != nil))
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
        for (entry, step) in paretoFront {
            front.append([
                "\(step.measured.parameters)", "\(step.measured.flops)", Self.number(step.measured.loss),
                entry.strategy,
                "\(step.step)",
            ])
        }
        text += "\n\n" + levels.description + "\nWork\n" + work.description
        text += "\nPareto front of loss and FLOPs over all strategies\n" + front.description
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
            for step in entry.path {
                let fields: [String] = [
                    entry.strategy, "\(step.step)", step.removed.joined(separator: " "),
                    step.measured.loss.map { "\($0)" } ?? "", step.measured.accuracy.map { "\($0)" } ?? "",
                    "\(step.measured.parameters)", "\(step.measured.flops)",
                    step.validation?.loss.map { "\($0)" } ?? "",
                    step.validation?.accuracy.map { "\($0)" } ?? "",
                    "\(entry.work.blockEvaluations)", "\(entry.newBlockEvaluations)", "\(entry.seconds)",
                ]
                lines.append(fields.joined(separator: ","))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The steps of all strategies that no other beats in both loss and FLOPs, most expensive first.
    var paretoFront: [(Entry, Step)] {
        let all = strategies.flatMap { entry in entry.path.map { (entry, $0) } }
            .compactMap { entry, step in step.measured.loss.map { (entry, step, $0) } }
            .sorted { ($0.1.measured.flops, $0.2) < ($1.1.measured.flops, $1.2) }
        var front: [(Entry, Step)] = []
        var lowest = Double.infinity
        for (entry, step, loss) in all where loss < lowest {
            front.append((entry, step))
            lowest = loss
        }
        return front.reversed()
    }

    private static func cells(_ step: Step, withHeldOut: Bool) -> [String] {
        func measured(_ measured: Evaluation.Measured?) -> [String] {
            [number(measured?.loss), measured?.accuracy.map(percent) ?? ""]
        }
        let cells = measured(step.measured) + ["\(step.measured.parameters)", "\(step.measured.flops)"]
        return withHeldOut ? cells + measured(step.validation) : cells
    }

    private static func number(_ value: Double?) -> String {
        value.map { String(format: "%.6g", $0) } ?? "not finite"
    }
    private static func percent(_ value: Double) -> String { String(format: "%.2f%%", value * 100) }
}
