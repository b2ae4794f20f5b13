internal import ComputationGraph
internal import Foundation
internal import Report
internal import Search

extension Comparison {
    /// The comparison as a page: charts of loss and accuracy against cost, and tables of every level.
    ///
    /// - Parameters:
    ///   - model: the model as it was named.
    ///   - data: the data as they were named.
    public func html(model: String, data: String) -> String {
        var page = HTMLPage(title: "Pruning strategies on \(model)")
        page.paragraph(
            "\(lossFunction) on \(samples) samples of \(data). The unpruned model: loss \(Self.decimal(base.measurement.finiteLoss))"
                + (base.accuracy.map { ", accuracy \(Self.share($0))" } ?? "")
                + ", \(base.cost.parameters) parameters, \(base.cost.flops) FLOPs a sample.")
        let caption =
            "Each marker is a removal; every strategy starts from the unpruned model at 100 %. Rings mark the Pareto front: "
            + "no other state of any strategy has both a lower loss and fewer FLOPs. Point at a marker to see what was "
            + "removed."
        let flops = "FLOPs left, % of the unpruned model's"
        let loss = "loss (\(lossFunction))"
        page.heading("Loss")
        page.chart(
            chart(flops, loss, { $0.flops }, { $0.finiteLoss }, showsFront: true), caption: caption)
        page.chart(
            chart("parameters left, % of the unpruned model's", loss, { $0.parameters }, { $0.finiteLoss }),
            caption: "The same states by their parameters.")
        if base.accuracy != nil {
            page.heading("Accuracy")
            page.chart(
                chart(flops, "accuracy, % of the labels", { $0.flops }, { $0.accuracy.map { $0 * 100 } }),
                caption: "On the data that the search saw.")
        }
        if let held = base.heldOut {
            page.heading("Held-out data")
            page.chart(
                chart(flops, "held-out " + loss, { $0.flops }, { $0.finiteLoss }, heldOut: true),
                caption:
                    "What the search never saw. The unpruned model: loss \(Self.decimal(held.finiteLoss)).")
        }
        page.heading("Levels")
        page.table(levelTitles, rows: levelRows)
        page.heading("Work")
        page.paragraph(
            "A block evaluation is one set of removals on one block of samples. New are those that no strategy above had "
                + "done already; brute force measures everything in full; the oracle lower bound would take the best totals to be "
                + "known in advance."
        )
        page.table(
            ["strategy", "block evaluations", "brute force", "oracle lower bound", "new", "seconds"],
            rows: strategies.map {
                [
                    $0.strategy, "\($0.work.blockEvaluations)", "\($0.work.bruteForceBlockEvaluations)",
                    "\($0.work.oracleBlockEvaluations)", "\($0.newBlockEvaluations)",
                    String(format: "%.2f", $0.seconds),
                ]
            })
        for warning in warnings { page.paragraph("Warning: \(warning)") }
        return page.html
    }

    private func chart(
        _ x: String, _ y: String, _ cost: (Cost) -> Int,
        _ value: (MeasuredState.Measurement) -> Double?, heldOut: Bool = false, showsFront: Bool = false
    ) -> LineChart {
        func shown(_ state: MeasuredState) -> Double? {
            (heldOut ? state.heldOut : state.measurement).flatMap(value)
        }
        let whole = Double(max(1, cost(base.cost)))
        let front = !showsFront ? [] : Set(paretoFront.map { "\($0.entry.strategy) \($0.step)" })
        let unpruned = shown(base)
        let series = strategies.enumerated().map { number, entry in
            let start = unpruned.map { [LineChart.Point(x: 100, y: $0, note: "unpruned: \($0)")] }
            let points = entry.path.enumerated().compactMap { index, state -> LineChart.Point? in
                guard let y = shown(state) else { return nil }
                let removed = state.removed.map(\.description).joined(separator: " ")
                return LineChart.Point(
                    x: Double(cost(state.cost)) / whole * 100, y: y,
                    note: "\(entry.strategy), step \(index + 1): \(y), removed \(removed)",
                    isOnFront: front.contains("\(entry.strategy) \(index + 1)"))
            }
            let isRandom = entry.strategy.hasPrefix("random")
            return LineChart.Series(
                name: entry.strategy, points: (start ?? []) + points, number: number, isFaint: isRandom)
        }
        return LineChart(series, x: x, y: y, reference: unpruned.map { ($0, "unpruned") })
    }

    private var levelTitles: [String] {
        ["step", "strategy", "loss", "accuracy", "parameters", "FLOPs", "parameters left", "FLOPs left"]
            + (base.heldOut == nil ? [] : ["held-out loss", "held-out accuracy"]) + ["removed"]
    }

    private var levelRows: [[String]] {
        (1...max(1, strategies.map(\.path.count).max() ?? 1)).flatMap { number in
            strategies.filter { $0.path.count >= number }.map { entry in
                let state = entry.path[number - 1]
                func cells(_ measurement: MeasuredState.Measurement?) -> [String] {
                    [Self.decimal(measurement?.finiteLoss), measurement?.accuracy.map(Self.share) ?? ""]
                }
                return ["\(number)", entry.strategy] + cells(state.measurement)
                    + [
                        "\(state.cost.parameters)", "\(state.cost.flops)",
                        share(state.cost.parameters, base.cost.parameters),
                        share(state.cost.flops, base.cost.flops),
                    ]
                    + (base.heldOut == nil ? [] : cells(state.heldOut))
                    + [state.removed.map(\.description).joined(separator: " ")]
            }
        }
    }

    private func share(_ part: Int, _ whole: Int) -> String {
        whole > 0 ? String(format: "%.1f %%", 100 * Double(part) / Double(whole)) : "-"
    }

    private static func decimal(_ value: Double?) -> String {
        value.map(NumberText.significant) ?? "not finite"
    }
    private static func share(_ value: Double) -> String { String(format: "%.2f %%", value * 100) }
}
