internal import ONNX

/// Attention and what goes with it in transformers.
extension OperatorFacts {
    static let attention: [String: OperatorFacts] = [
        "Attention": OperatorFacts(
            // Outputs: the result, the keys and the values with the past ones, the scores.
            outputType: { $0.position == 2 ? $0.input(2) : $0.position == 1 ? $0.input(1) : $0.input(0) },
            // A mean of values that are zero; those of a past cache need not be.
            preservesZeros: { $0.slot == 2 && !$0.hasInput(5) }, operations: attentionOperations,
            role: .product),
        "CausalConvWithState": OperatorFacts(
            operations: { 2 * $0.outputElements * ($0.input(1)?.last ?? 0) }, role: .product),
        "LinearAttention": OperatorFacts(
            outputType: { $0.position == 0 ? $0.input(0) : $0.input(3) ?? $0.input(0) },
            operations: linearAttentionOperations, role: .product),
        "RotaryEmbedding": OperatorFacts(
            preservesZeros: inFirst, operations: { 3 * $0.outputElements }),
    ]

    /// Both products of every head, and the softmax between them.
    private static let attentionOperations: @Sendable (FloatingPointOperations) -> Int = { node in
        guard let query = node.input(0), let key = node.input(1), let out = node.output,
            let length = query.dropLast().last
        else { return 0 }
        let heads = query.count == 4 ? query[1] : node.attribute("q_num_heads") ?? 1
        let past = node.input(4).map { $0.count == 4 ? $0[2] : 0 } ?? 0
        let keys = past + (key.dropLast().last ?? 0)
        let softmax = (query.first ?? 0) * heads * length * keys
        return 2 * (node.elements(query) + node.elements(out)) * keys + 3 * softmax
    }

    /// The state takes in an outer product and is read by every query: both once for each token.
    private static let linearAttentionOperations: @Sendable (FloatingPointOperations) -> Int = { node in
        guard let query = node.input(0), query.count == 3, let value = node.input(2),
            let heads = node.attribute("q_num_heads"), heads > 0
        else { return node.outputElements }
        let size = query[2] / heads
        return 2 * node.elements(value) * size + 2 * node.outputElements * size
    }
}
