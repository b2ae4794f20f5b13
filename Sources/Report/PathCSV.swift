internal import ComputationGraph

/// The path as comma-separated values (RFC 4180): step 0 is the full model; doubles have all their digits.
public struct PathCSV: Sendable, CustomStringConvertible {
    private let summary: RunSummary

    /// The path of a run.
    public init(_ summary: RunSummary) { self.summary = summary }

    /// The table, a header and one line per step.
    public var description: String {
        // A column more where edge and slot do not say all.
        let hasUnits = summary.path.contains { $0.edge.unit != nil || !$0.state.alongside.isEmpty }
        let titles =
            [
                "step", "node", "slot", "consumer", "tensor", "loss", "lossChange", "accuracy", "parameters",
                "flops",
            ] + (summary.setup.heldOut == nil ? [] : ["validationLoss", "validationAccuracy"])
            + (summary.setup.fitData == nil ? [] : ["lossAtCut"])
            + (hasUnits ? ["unit"] : [])
        let base = ["0", "", "", "", ""] + cells(summary.base) + (hasUnits ? [""] : [])
        let steps = summary.path.map { step in
            ["\(step.step)", "\(step.edge.node)", "\(step.edge.slot)", step.edge.consumer, step.edge.tensor]
                + cells(step.state) + (hasUnits ? [units(of: step)] : [])
        }
        return ([titles, base] + steps).map { $0.map(PathCSV.quoted).joined(separator: ",") + "\r\n" }
            .joined()
    }

    /// All that went in a step, separated by blanks.
    private func units(of step: RunSummary.Step) -> String {
        ([step.edge.name] + step.state.alongside.map(\.description)).joined(separator: " ")
    }

    private func cells(_ state: MeasuredState) -> [String] {
        let measured = [
            "\(state.loss)", "\(state.lossChange)", state.accuracy.map { "\($0)" } ?? "",
            "\(state.cost.parameters)", "\(state.cost.flops)",
        ]
        let heldOut = state.heldOut
        return measured
            + (summary.setup.heldOut == nil
                ? []
                : [heldOut.map { "\($0.loss)" } ?? "", heldOut?.accuracy.map { "\($0)" } ?? ""])
            + (summary.setup.fitData == nil ? [] : [state.atCut.map { "\($0.loss)" } ?? ""])
    }

    private static func quoted(_ cell: String) -> String {
        // "\r\n" is one Character, so look at scalars.
        guard cell.unicodeScalars.contains(where: { [",", "\"", "\r", "\n"].contains($0) }) else {
            return cell
        }
        return "\"" + cell.replacing("\"", with: "\"\"") + "\""
    }
}
