internal import ComputationGraph
internal import Foundation
internal import Search

/// A run for people to read: the path, the Pareto fronts, and the work that was saved.
public struct SummaryText: Sendable {
    private let summary: RunSummary

    /// The text of a run.
    public init(_ summary: RunSummary) { self.summary = summary }

    /// Plain text, for `summary.txt`.
    public var plain: String { plain(width: TextTable.width) }

    /// Plain text, for a terminal.
    ///
    /// - Parameter width: how many characters a line may have, as far as that can be.
    public func plain(width: Int) -> String {
        let hasRoom = pathTable(withCounts: true).isWhole(width: width)
        return render(
            title: { $0 + "\n" }, heading: { "\n" + $0 + "\n" }, table: { $0.text(width: width) },
            prose: { ParagraphText.filled($0, width: width) }, withCounts: hasRoom)
    }

    /// Markdown.
    public var markdown: String {
        render(
            title: { "# " + $0 + "\n" }, heading: { "\n## " + $0 + "\n\n" }, table: { $0.markdown },
            prose: { $0 }, withCounts: true)
    }

    private func render(
        title: (String) -> String, heading: (String) -> String, table: (TextTable) -> String,
        prose: (String) -> String, withCounts: Bool
    ) -> String {
        var text =
            title("\(summary.setup.settings.strategy) pruning by exact loss (\(summary.setup.loss))") + "\n"
        text += prose(conditions + "\n" + missedBudget + (summary.measured?.text ?? ""))
        text += heading("Path") + table(pathTable(withCounts: withCounts))
        if !withCounts { text += "\n" + prose(left) }
        for (name, front) in fronts where front.count > 1 {
            text += heading("Pareto front of \(name)") + table(frontTable(front, withCounts: withCounts))
        }
        text += heading("Exactness") + SummaryText.exactness(of: summary, table: table, prose: prose)
        return text + prose(numerics) + heading("Work") + prose(work + "\n")
    }

    /// The fronts to show: one where parameters and FLOPs say the same.
    private var fronts: [(String, [MeasuredState])] {
        let (parameters, flops) = (summary.parameterFront, summary.flopsFront)
        guard parameters.map(\.removed) != flops.map(\.removed) else {
            return [("loss and cost, the same by parameters and by FLOPs", flops)]
        }
        return [("loss and parameters", parameters), ("loss and FLOPs", flops)]
    }

    private var conditions: String {
        let shards = NumberText.counted(summary.setup.shards, "shard")
        let workers = NumberText.counted(summary.workers, "worker")
        return
            "\(NumberText.counted(summary.setup.samples, "sample")) in blocks of \(summary.setup.blockSize), \(shards), "
            + "\(workers), \(NumberText.duration(summary.seconds))"
            + (summary.setup.heldOut.map {
                "\nheld out: \(NumberText.counted($0.samples, "sample")) of \($0.data), which never chose anything"
            } ?? "")
            + (summary.setup.fitData.map {
                "\nrecovered by \(summary.setup.settings.recovery ?? .none), fitted on \($0)"
            } ?? "")
    }

    /// That a budget was missed, and why, where it was.
    private var missedBudget: String {
        guard summary.missesBudget, let budget = summary.setup.settings.until,
            let reached = summary.reachedShare
        else { return "" }
        let reason =
            switch summary.end {
            case .steps: "as many removals were made as --steps allows"
            case .loss: "whatever else could go raises the loss too far, or leaves an output constant"
            case .exhausted, .budget: "nothing else can go"
            }
        return "\nBUDGET NOT REACHED: \(budget.quantity.rawValue) are at "
            + "\(NumberText.percent(reached)) of the unpruned model's, "
            + "\(NumberText.percent(budget.fraction)) were asked for: \(reason).\n"
    }

    /// What results in other bits mean for the proof; nothing where there are none.
    private var numerics: String {
        guard !summary.mixedNumerics.isEmpty else { return "" }
        return
            "Results of machines were used whose losses differ in the last bits (--allow-mixed-numerics): losses that are "
            + "as close as that may be ordered otherwise elsewhere, and a search on one kind of machine may find other last "
            + "digits. These were:\n" + summary.mixedNumerics.map { "  \($0)\n" }.joined()
    }

    /// The titles of what is measured.
    ///
    /// - Parameter withCounts: whether parameters and FLOPs are counted, beside their shares.
    private func measured(withCounts: Bool) -> [String] {
        ["loss", "change"] + (hasAccuracy ? ["accuracy"] : [])
            + (withCounts
                ? ["parameters", "of all", "FLOPs", "of all"] : ["parameters\nleft", "FLOPs\nleft"])
            + (summary.setup.fitData == nil ? [] : ["loss at\nthe cut"])
            + (summary.setup.heldOut == nil ? [] : ["held-out\nloss"])
            + (hasHeldOutAccuracy ? ["held-out\naccuracy"] : [])
    }

    /// Whether there are labels to be right about.
    private var hasAccuracy: Bool { summary.base.accuracy != nil }
    private var hasHeldOutAccuracy: Bool { summary.base.heldOut?.accuracy != nil }

    private func cells(_ state: MeasuredState, withCounts: Bool) -> [String] {
        let (cost, whole) = (state.cost, summary.base.cost)
        func costs(_ part: Int, _ whole: Int) -> [String] {
            (withCounts ? [NumberText.grouped(part)] : []) + [NumberText.share(part, of: whole)]
        }
        return [NumberText.significant(state.loss), NumberText.change(state.lossChange)]
            + (hasAccuracy ? [NumberText.percent(state.accuracy)] : [])
            + costs(cost.parameters, whole.parameters) + costs(cost.flops, whole.flops)
            + (summary.setup.fitData == nil
                ? [] : [state.atCut.map { NumberText.significant($0.loss) } ?? ""])
            + (summary.setup.heldOut == nil
                ? [] : [state.heldOut.map { NumberText.significant($0.loss) } ?? ""])
            + (hasHeldOutAccuracy ? [NumberText.percent(state.heldOut?.accuracy)] : [])
    }

    private func pathTable(withCounts: Bool) -> TextTable {
        // A module's name says more than those of its last tensor and of the node that reads it.
        let hasBlocks = summary.path.contains { $0.edge.block != nil }
        let names = hasBlocks ? ["block"] : ["tensor", "consumer"]
        // What can be missed first comes first: the change follows from the losses, and an edge says where it is.
        var table = TextTable(
            ["step", "edge"] + names + measured(withCounts: withCounts), lists: ["edge"],
            dispensable: ["change"] + (hasBlocks ? [] : ["tensor"]) + [
                "loss at\nthe cut", names[names.count - 1],
            ])
        table.append(["0", ""] + names.map { _ in "" } + cells(summary.base, withCounts: withCounts))
        for step in summary.path {
            let named =
                hasBlocks ? [step.edge.block ?? step.edge.consumer] : [step.edge.tensor, step.edge.consumer]
            table.append(
                ["\(step.step)", step.edge.shortName + alongside(step)] + named
                    + cells(step.state, withCounts: withCounts))
        }
        return table
    }

    /// What else went in a step.
    private func alongside(_ step: RunSummary.Step) -> String {
        step.state.alongside.isEmpty ? "" : " " + Mask(step.state.alongside).shortDescription
    }

    /// What is left of the model at the end of the path.
    private var left: String {
        let whole = summary.base.cost
        let cost = summary.path.last?.state.cost ?? whole
        func part(_ part: Int, _ whole: Int, _ name: String) -> String {
            "\(NumberText.grouped(part)) of \(NumberText.counted(whole, name)) (\(NumberText.share(part, of: whole)))"
        }
        return "left: \(part(cost.parameters, whole.parameters, "parameter")), "
            + "\(part(cost.flops, whole.flops, "FLOP"))\n"
    }

    private func frontTable(_ front: [MeasuredState], withCounts: Bool) -> TextTable {
        var table = TextTable(
            ["removals"] + measured(withCounts: withCounts) + ["removed"], lists: ["removed"],
            dispensable: ["change", "loss at\nthe cut"])
        for point in front {
            // A state of the path has its removals there, and need not list them.
            let step = summary.path.first { $0.state.variant == point.variant }?.step
            table.append(
                ["\(point.removed.count)"] + cells(point, withCounts: withCounts)
                    + [step.map { "step \($0)" } ?? Mask(point.removed).shortDescription])
        }
        return table
    }

    private var work: String {
        let count = summary.work
        var text =
            "measured \(NumberText.grouped(count.blockEvaluations)) of "
            + NumberText.counted(count.bruteForceBlockEvaluations, "block")
        if let saving = summary.savingOverBruteForce, saving > 1 {
            text += String(format: " (%.3g times fewer than brute force)", saving)
        }
        if count.oracleBlockEvaluations > 0 {
            text += "; with perfect foresight \(NumberText.grouped(count.oracleBlockEvaluations))"
        }
        return text + "\n\(NumberText.counted(count.candidates, "removal")) tried, in "
            + "\(NumberText.counted(count.tasks, "task")); a block is one set of removals on up to "
            + NumberText.counted(summary.setup.blockSize, "sample")
    }
}
