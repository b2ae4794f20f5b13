internal import ONNX

/// Recurrent layers.
extension OperatorFacts {
    static let recurrent: [String: OperatorFacts] = each(
        ["GRU", "LSTM", "RNN"],
        OperatorFacts(operations: recurrentOperations, role: .product, hasWeights: true))

    /// Both matrix products of every gate, at every step.
    private static let recurrentOperations: @Sendable (FloatingPointOperations) -> Int = { node in
        guard let sequence = node.input(0), sequence.count == 3, let weight = node.input(1),
            let recurrence = node.input(2)
        else { return 0 }
        return 2 * sequence[0] * sequence[1] * (node.elements(weight) + node.elements(recurrence))
    }
}
