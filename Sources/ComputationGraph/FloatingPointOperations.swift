internal import ONNX

/// The floating-point operations that a node takes: a multiply-add counts 2, an elementwise function 1 per
/// element of its output, a comparison in pooling 1, and moving data nothing.
///
/// The count for convolutions and matrix products is the usual one (He et al., Deep residual learning, 2016, count
/// multiply-adds: half of it).
struct FloatingPointOperations {
    let node: NodeProto
    /// The shape in each input slot; `nil` where it is left out or not known.
    let inputs: [[Int]?]
    /// The shape of the first output.
    let output: [Int]?

    private func input(_ slot: Int) -> [Int]? { inputs.indices.contains(slot) ? inputs[slot] : nil }

    private func elements(_ shape: [Int]?) -> Int { shape?.reduce(1, *) ?? 0 }

    /// Operations for the whole batch that the shapes are for.
    var count: Int {
        switch node.opType {
        case "Conv":
            guard let weight = input(1) else { return 0 }
            let bias = input(2) == nil ? 0 : elements(output)
            return 2 * elements(output) * weight.dropFirst().reduce(1, *) + bias
        case "ConvTranspose":
            guard let weight = input(1) else { return 0 }
            let bias = input(2) == nil ? 0 : elements(output)
            return 2 * elements(input(0)) * weight.dropFirst().reduce(1, *) + bias
        case "MatMul":
            return 2 * elements(output) * (input(0)?.last ?? 0)
        case "Gemm":
            guard let left = input(0), left.count == 2, let out = output, out.count == 2, out[0] > 0 else {
                return 0
            }
            let bias = input(2) == nil ? 0 : elements(out)
            return 2 * elements(out) * (elements(left) / out[0]) + bias
        case "Einsum": return einsum
        case "Attention": return attention
        case "RMSNormalization": return 4 * elements(output)
        case "RotaryEmbedding": return 3 * elements(output)
        case "SwiGLU": return 2 * elements(output)
        case "CumProd": return elements(input(0))
        case "CausalConvWithState": return 2 * elements(output) * (input(1)?.last ?? 0)
        case "LinearAttention": return linearAttention
        case "LSTM", "GRU", "RNN": return recurrent
        case "MaxPool", "AveragePool", "LpPool":
            let kernel =
                node.attribute.first { $0.name == "kernel_shape" }?.ints.reduce(1) { $0 * Int($1) }
                ?? 1
            return elements(output) * kernel
        case "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "ReduceSum", "ReduceMean", "ReduceMax",
            "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum",
            "ReduceLogSumExp", "ArgMax", "ArgMin", "CumSum":
            return elements(input(0))
        case "BatchNormalization": return 2 * elements(output)
        case "InstanceNormalization", "LayerNormalization", "GroupNormalization", "LRN", "LpNormalization",
            "MeanVarianceNormalization":
            return 5 * elements(output)
        case "Softmax", "LogSoftmax": return 3 * elements(output)
        case "Resize", "Upsample": return elements(output)
        case "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "GatherElements",
            "GatherND", "Scatter", "ScatterElements", "ScatterND", "TensorScatter", "BitCast", "Split",
            "Concat", "Pad", "Expand", "Tile",
            "Identity", "Dropout", "Shape", "Size", "Constant", "ConstantOfShape", "Range", "Cast",
            "CastLike",
            "DepthToSpace", "SpaceToDepth", "Trilu", "OneHot", "NonZero", "EyeLike", "Where", "Compress",
            "ReverseSequence", "TopK", "Unique":
            return 0
        default:
            return elements(output)
        }
    }

    private func attribute(_ name: String) -> Int? {
        node.attribute.first { $0.name == name }.map { Int($0.i) }
    }

    /// Both products of every head, and the softmax between them.
    private var attention: Int {
        guard let query = input(0), let key = input(1), let out = output, let length = query.dropLast().last
        else { return 0 }
        let heads = query.count == 4 ? query[1] : attribute("q_num_heads") ?? 1
        let past = input(4).map { $0.count == 4 ? $0[2] : 0 } ?? 0
        let keys = past + (key.dropLast().last ?? 0)
        let softmax = (query.first ?? 0) * heads * length * keys
        return 2 * (elements(query) + elements(out)) * keys + 3 * softmax
    }

    /// The state takes in an outer product and is read by every query: both once for each token.
    private var linearAttention: Int {
        guard let query = input(0), query.count == 3, let value = input(2),
            let heads = attribute("q_num_heads"), heads > 0
        else { return elements(output) }
        let size = query[2] / heads
        return 2 * elements(value) * size + 2 * elements(output) * size
    }

    /// Two operations per combination of all labels.
    private var einsum: Int {
        guard
            let equation = node.attribute.first(where: { $0.name == "equation" }).map({
                String(decoding: $0.s, as: UTF8.self)
            })
        else { return 0 }
        let terms = equation.split(separator: "-")[0].split(separator: ",").map { $0.filter { $0.isLetter } }
        var sizes: [Character: Int] = [:]
        for (slot, term) in terms.enumerated() {
            guard let shape = input(slot), shape.count == term.count else { return elements(output) }
            for (label, size) in zip(term, shape) { sizes[label] = size }
        }
        return 2 * sizes.values.reduce(1, *)
    }

    /// Both matrix products of every gate, at every step.
    private var recurrent: Int {
        guard let sequence = input(0), sequence.count == 3, let weight = input(1), let recurrence = input(2)
        else {
            return 0
        }
        return 2 * sequence[0] * sequence[1] * (elements(weight) + elements(recurrence))
    }
}
