/// Which operators are layers in the sense of a network's drawing: what has weights or takes the time. The rest joins,
/// scales or rearranges what they compute.
enum LayerKinds {
    /// Operators that are layers whatever they read.
    private static let layers: Set<String> = [
        "Conv", "ConvTranspose", "DeformConv", "ConvInteger", "QLinearConv", "Gemm", "MatMul",
        "MatMulInteger",
        "QLinearMatMul", "Einsum", "Attention", "LSTM", "GRU", "RNN", "BatchNormalization",
        "InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization",
        "LpNormalization", "LRN", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool",
        "GlobalLpPool", "Resize", "Upsample", "Gather",
    ]

    /// Whether an operator is a layer.
    static func isLayer(_ operation: String) -> Bool { layers.contains(operation) }
}
