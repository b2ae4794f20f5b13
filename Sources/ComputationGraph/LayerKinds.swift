/// Which operators are layers in the sense of a network's drawing: what has weights or takes the time. The rest joins,
/// scales or rearranges what they compute.
enum LayerKinds {
    /// Operators that multiply matrices in one way or another.
    private static let products: Set<String> = [
        "Conv", "ConvTranspose", "DeformConv", "ConvInteger", "QLinearConv", "Gemm", "MatMul",
        "MatMulInteger",
        "QLinearMatMul", "Einsum", "Attention", "LinearAttention", "CausalConvWithState", "LSTM", "GRU",
        "RNN",
    ]

    /// Normalisation, pooling and look-ups.
    private static let others: Set<String> = [
        "BatchNormalization",
        "InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization",
        "LpNormalization", "LRN", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool",
        "GlobalLpPool", "Resize", "Upsample", "Gather",
    ]

    /// Whether an operator multiplies matrices: convolutions, products, attention, recurrent layers.
    static func isProduct(_ operation: String) -> Bool { products.contains(operation) }

    /// Whether an operator is a layer.
    static func isLayer(_ operation: String) -> Bool {
        products.contains(operation) || others.contains(operation)
    }
}
