package import ONNX

/// Nodes with subgraphs, and the check that stands where a branch was resolved. Which of their outputs has which type and
/// shape is for their subgraphs to say.
extension OperatorFacts {
    static let control: [String: OperatorFacts] =
        each(["If", "Loop", "Scan"], OperatorFacts(outputType: { _ in nil }, shape: .data))
        .merging(["Assume": OperatorFacts()]) { first, _ in first }
}

extension NodeProto {
    /// Whether the node is an If of ai.onnx.
    package var isConditional: Bool { opType == "If" && (domain.isEmpty || domain == "ai.onnx") }
}
