/// Operators of old operator sets whose definition still holds.
///
/// Source: ONNX's operator changelog. Before set 7 broadcasting and several attributes had another meaning.
enum OldOperators {
    /// Defined by set 1 as set 7 has them.
    private static let sinceFirst: Set<String> = [
        "Conv", "ConvTranspose", "DepthToSpace", "Flatten", "GlobalAveragePool", "GlobalMaxPool",
        "Identity", "LRN", "LogSoftmax", "Not", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
        "ReduceSum",
        "Shape", "Size", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Squeeze", "Transpose",
        "Unsqueeze",
    ]

    /// Defined by set 6, in a form that set 7 has.
    private static let sinceSixth: Set<String> = [
        "Abs", "Cast", "Ceil", "Clip", "Concat", "Elu", "Exp", "Floor", "HardSigmoid",
        "InstanceNormalization",
        "LeakyRelu", "Log", "Neg", "Reciprocal", "Relu", "Reshape", "Selu", "Sigmoid", "Sqrt", "Tanh",
    ]

    /// Whether an operator of set `version` means what the engine's builders, written for set 7 and later, take it
    /// to mean.
    static func holds(_ operation: String, version: Int) -> Bool {
        version >= 7 || sinceFirst.contains(operation) || (version == 6 && sinceSixth.contains(operation))
    }
}
