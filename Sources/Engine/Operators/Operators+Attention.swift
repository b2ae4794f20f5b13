internal import ONNX
internal import Torch

private let softmax = Operation("aten::softmax.int")
private let tanh = Operation("aten::tanh")
private let isAtMost = Operation("aten::le.Tensor")
private let isBelow = Operation("aten::lt.Tensor")
private let equalsNumber = Operation("aten::eq.Scalar")
private let both = Operation("aten::logical_and")
private let holdsAnywhere = Operation("aten::any")

extension Operators {
    /// Attention as one operator, and what models with it use beside it.
    nonisolated(unsafe) static let attention: OperatorFamily = [
        "Attention": { try AttentionLayer($0).kernel },
        "CausalConvWithState": causalConvolution,
        "LinearAttention": linearAttention,
        "RotaryEmbedding": rotaryEmbedding,
    ]
}

/// Attention of opsets 23 and later: softmax(Q·Kᵀ·scale + bias)·V over heads, where the bias stands for masks.
///
/// Source: Vaswani et al., "Attention Is All You Need", 2017, equation 1; for fewer heads of keys than of queries
/// Ainslie et al., "GQA", 2023, section 2.2; for the cap on logits the operator's definition.
struct AttentionLayer {
    /// The attributes, read once.
    private let context: OperatorContext
    private let scale: Double?
    private let softcap: Double
    private let queryHeads: Int?
    private let keyHeads: Int?
    private let isCausal: Bool
    /// How many keys before and after a query's own position it may see; `nil` where all.
    private let window: (left: Int?, right: Int?)
    private let exposed: Exposed

    /// What the fourth output holds.
    private enum Exposed: Int {
        case scores = 0
        case capped, biased, probabilities
    }

    init(_ context: OperatorContext) throws {
        self.context = context
        let node = context.node
        scale = try node.float("scale", default: nil).map(Double.init)
        softcap = Double(try node.float("softcap", default: 0))
        queryHeads = try node.int("q_num_heads", default: nil)
        keyHeads = try node.int("kv_num_heads", default: nil)
        isCausal = try context.flag("is_causal")
        func side(_ name: String) throws -> Int? {
            let size = try node.int(name, default: -1)
            guard size >= -1 else { throw context.error("attribute \(name) is \(size)") }
            return size < 0 ? nil : size
        }
        window = (try side("left_window_size"), try side("right_window_size"))
        let mode = try node.int("qk_matmul_output_mode", default: 0)
        guard let exposed = Exposed(rawValue: mode) else {
            throw context.error("attribute qk_matmul_output_mode is \(mode), none of 0 to 3")
        }
        self.exposed = exposed
        guard softcap >= 0 else { throw context.error("attribute softcap is \(softcap)") }
        for heads in [queryHeads, keyHeads].compactMap({ $0 }) where heads < 1 {
            throw context.error("a number of heads is \(heads)")
        }
    }

    /// Q, K, V, mask, past key, past value and the numbers of keys that are none of padding to Y, present key,
    /// present value and the scores.
    var kernel: Kernel {
        { inputs in
            let given = try (0..<3).map { try context.required(inputs, $0) }
            let query = try heads(given[0], queryHeads, "q_num_heads")
            var key = try heads(given[1], keyHeads, "kv_num_heads")
            var value = try heads(given[2], keyHeads, "kv_num_heads")
            let (pastKey, pastValue) = (context.optional(inputs, 4), context.optional(inputs, 5))
            guard (pastKey == nil) == (pastValue == nil) else {
                throw context.error("past_key and past_value come together or not at all")
            }
            if let pastKey, let pastValue {
                key = try Tensor.concatenated([pastKey, key], along: 2)
                value = try Tensor.concatenated([pastValue, value], along: 2)
            }
            let lengths = context.optional(inputs, 6)
            let (queries, keys) = (query.shape[2], key.shape[2])
            let bias = try bias(
                mask: context.optional(inputs, 3), queries: queries, keys: keys,
                past: pastKey.map { $0.shape[2] }, lengths: lengths)
            let (output, scores) = try attend(query, key, value, bias)
            let y =
                given[0].rank == 3
                ? try output.permuted([0, 2, 1, 3]).reshaped([output.shape[0], queries, -1]) : output
            return [y, key, value, scores]
        }
    }

    /// A tensor (N, L, H·D) as (N, H, L, D); one with four dimensions as it is.
    private func heads(_ tensor: Tensor, _ count: Int?, _ name: String) throws -> Tensor {
        if tensor.rank == 4 { return tensor }
        guard tensor.rank == 3 else { throw context.error("an input of shape \(tensor.shape)") }
        guard let count else { throw context.error("inputs of three dimensions need the attribute \(name)") }
        let (batch, length, width) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
        guard width % count == 0 else {
            throw context.error("\(count) heads do not share an input of shape \(tensor.shape)")
        }
        return try tensor.reshaped([batch, length, count, width / count]).permuted([0, 2, 1, 3])
    }

    /// Y, and what the fourth output holds if anyone reads it.
    private func attend(_ query: Tensor, _ key: Tensor, _ value: Tensor, _ bias: Tensor?) throws
        -> (Tensor, Tensor?)
    {
        let (batch, count, queries, size) = (
            query.shape[0], query.shape[1], query.shape[2], query.shape[3]
        )
        let (sharedHeads, keys) = (key.shape[1], key.shape[2])
        guard sharedHeads > 0, count % sharedHeads == 0, value.shape[1] == sharedHeads,
            value.shape[2] == keys, key.shape[3] == size
        else {
            throw context.error(
                "queries \(query.shape), keys \(key.shape) and values \(value.shape) do not fit")
        }
        // Heads that share keys lie one after the other: they are rows of one product.
        let rows = count / sharedHeads * queries
        let factor = scale ?? 1 / Double(size).squareRoot()
        var scores = try (query * factor).reshaped([batch, sharedHeads, rows, size])
            .matrixProduct(key.transposed(2, 3)).reshaped([batch, count, queries, keys])
        var shown = exposed == .scores ? scores : nil
        if softcap > 0 { scores = try tanh(.tensor(scores * (1 / softcap))) * softcap }
        if exposed == .capped { shown = scores }
        if let bias { scores = try scores + bias }
        if exposed == .biased { shown = scores }
        let probabilities = try probabilities(scores, bias)
        if exposed == .probabilities { shown = probabilities }
        let result = try probabilities.reshaped([batch, sharedHeads, rows, keys]).matrixProduct(value)
        return (
            try result.reshaped([batch, count, queries, value.shape[3]]),
            context.wants(output: 3) ? shown : nil
        )
    }

    /// The softmax of every row; a row without a key that may be seen is 0.
    private func probabilities(_ scores: Tensor, _ bias: Tensor?) throws -> Tensor {
        guard let bias, scores.count > 0 else { return try softmax(.tensor(scores), -1) }
        let isBlind = try equalsNumber(
            .tensor(bias.maxima(over: [bias.rank - 1], keeping: true)), .double(-.infinity))
        guard try holdsAnywhere(.tensor(isBlind)).item(as: Bool.self) else {
            return try softmax(.tensor(scores), -1)
        }
        // Before the softmax too: its derivative there is no number.
        let zero = try Tensor(scalar: Float(0))
        let seen = try softmax(.tensor(isBlind.choosing(zero, else: scores)), -1)
        return try isBlind.choosing(zero, else: seen)
    }

    /// What is added to the scores: 0 or −∞ for what may be seen, and the mask's own numbers. Its shape broadcasts to
    /// (N, H, `queries`, `keys`); `nil` where all is seen.
    private func bias(mask: Tensor?, queries: Int, keys: Int, past: Int?, lengths: Tensor?) throws -> Tensor?
    {
        var allowed: Tensor?
        func allow(_ condition: Tensor) throws {
            allowed = try allowed.map { try both(.tensor($0), .tensor(condition)) } ?? condition
        }
        let places = try Tensor.counting(to: keys)
        let perSample = try lengths.map { try $0.converted(to: .int64).reshaped([-1, 1, 1, 1]) }
        if isCausal || window.left != nil || window.right != nil {
            // The position of each query among the keys.
            var position = try Tensor.counting(to: queries).reshaped([queries, 1])
            if let past {
                position = try position + Tensor(scalar: past)
            } else if let perSample {
                position = try position + (perSample - Tensor(scalar: queries))
            }
            let ahead = [isCausal ? 0 : nil, window.right].compactMap { $0 }.min()
            if let ahead { try allow(isAtMost(.tensor(places - position), .tensor(Tensor(scalar: ahead)))) }
            if let left = window.left {
                try allow(isAtMost(.tensor(position - places), .tensor(Tensor(scalar: left))))
            }
        }
        if let perSample { try allow(isBelow(.tensor(places), .tensor(perSample))) }
        var added: Tensor?
        if var mask {
            let missing = keys - (mask.shape.last ?? keys)
            guard missing >= 0 else {
                throw context.error("a mask of shape \(mask.shape) for \(keys) keys")
            }
            let isTruth = mask.scalarType == .bool
            if missing > 0 && mask.rank > 0 {
                // As numbers, since libtorch pads no truth values everywhere.
                mask = try (isTruth ? mask.converted(to: .int32) : mask.converted(to: .float32))
                    .padded(begin: [0], end: [missing], value: isTruth ? 0 : -.infinity)
            }
            if isTruth {
                try allow(mask.converted(to: .bool))
            } else {
                added = try mask.converted(to: .float32)
            }
        }
        guard let allowed else { return added }
        let bias = try allowed.choosing(
            Tensor(scalar: Float(0)), else: Tensor(scalar: -Float.infinity))
        return try added.map { try $0 + bias } ?? bias
    }
}
