internal import ONNX
internal import Torch

private let exponential = Operation("aten::exp")
private let convolve = Operation("aten::conv1d")
private let silu = Operation("aten::silu")

extension Operators {
    /// How the state of linear attention takes in a token.
    private enum UpdateRule: String, CaseIterable {
        case linear, gated, delta
        case gatedDelta = "gated_delta"

        var decays: Bool { self == .gated || self == .gatedDelta }
        var corrects: Bool { self == .delta || self == .gatedDelta }
    }

    /// LinearAttention: for every token the state S (N, H, Dk, Dv) decays, takes in k ⊗ v, and is read by the query.
    /// Yang et al., "Gated Delta Networks", 2024, equations 1, 8 and 10.
    static func linearAttention(_ context: OperatorContext) throws -> Kernel {
        let rule = try context.choice("update_rule", default: UpdateRule.gatedDelta)
        let (queryHeads, keyHeads) = (
            try context.node.int("q_num_heads"), try context.node.int("kv_num_heads")
        )
        let scale = Double(try context.node.float("scale", default: 0))
        guard keyHeads > 0, queryHeads > 0, queryHeads % keyHeads == 0 else {
            throw context.error("\(queryHeads) heads of queries and \(keyHeads) of keys")
        }
        return { inputs in
            /// (N, L, H·D) as (N, H, L, D).
            func split(_ slot: Int, _ heads: Int) throws -> Tensor {
                let tensor = try context.required(inputs, slot)
                guard tensor.rank == 3, tensor.shape[2] % heads == 0 else {
                    throw context.error("input \(slot) of shape \(tensor.shape) in \(heads) heads")
                }
                return try tensor.reshaped(
                    [tensor.shape[0], tensor.shape[1], heads, tensor.shape[2] / heads]
                )
                .permuted([0, 2, 1, 3])
            }
            let query = try split(0, queryHeads)
            let (key, value) = (try split(1, keyHeads), try split(2, keyHeads))
            let (batch, tokens, keySize) = (key.shape[0], key.shape[2], key.shape[3])
            let valueSize = value.shape[3]
            // One number for a head or one for each of a key's, and one for a head or for all.
            let decay = rule.decays ? try exponential(.tensor(split(4, keyHeads))) : nil
            let rate =
                try rule.corrects
                ? split(5, context.required(inputs, 5).shape.last == 1 ? 1 : keyHeads) : nil
            let factor = scale == 0 ? 1 / Double(keySize).squareRoot() : scale
            var state =
                try context.optional(inputs, 3)
                ?? Tensor.filled(0, shape: [batch, keyHeads, keySize, valueSize])
            guard state.shape == [batch, keyHeads, keySize, valueSize] else {
                throw context.error("a past state of shape \(state.shape)")
            }
            var outputs: [Tensor] = []
            for token in 0..<tokens {
                let taken = try key.narrowed(2, from: token, length: 1)
                var added = try value.narrowed(2, from: token, length: 1)
                if let decay {
                    state = try state * decay.narrowed(2, from: token, length: 1).transposed(2, 3)
                }
                if let rate {
                    added =
                        try rate.narrowed(2, from: token, length: 1) * (added - taken.matrixProduct(state))
                }
                state = try state + taken.transposed(2, 3) * added
                // The heads that share a state are rows of one product.
                let read = try query.narrowed(2, from: token, length: 1)
                    .reshaped([batch, keyHeads, queryHeads / keyHeads, keySize]).matrixProduct(state)
                outputs.append(try (read * factor).reshaped([batch, 1, queryHeads * valueSize]))
            }
            let output =
                try tokens == 0
                ? Tensor.filled(0, shape: [batch, 0, queryHeads * valueSize])
                : Tensor.concatenated(outputs, along: 1)
            return [output, state]
        }
    }

    /// CausalConvWithState: X (N, C, L) convolved channel by channel with kernels (C, 1, K), after the last K − 1
    /// positions of what came before (zeros where nothing did); those of this input are the second output.
    static func causalConvolution(_ context: OperatorContext) throws -> Kernel {
        let activation = try context.node.string("activation", default: "none")
        guard ["none", "silu", "swish"].contains(activation) else {
            throw context.error("activation is '\(activation)', none of 'none', 'silu' and 'swish'")
        }
        return { inputs in
            let (x, kernel) = (try context.required(inputs, 0), try context.required(inputs, 1))
            guard x.rank == 3, kernel.rank == 3, kernel.shape[2] > 0 else {
                throw context.error("an input of shape \(x.shape) and a kernel of shape \(kernel.shape)")
            }
            let kept = kernel.shape[2] - 1
            let past =
                try context.optional(inputs, 3) ?? Tensor.filled(0, shape: [x.shape[0], x.shape[1], kept])
            let whole = try Tensor.concatenated([past, x], along: 2)
            let convolved =
                try x.count == 0
                ? x
                : convolve(
                    .tensor(whole), .tensor(kernel), .optional(context.optional(inputs, 2)), .ints([1]),
                    .ints([0]), .ints([1]), .int(x.shape[1]))
            return [
                activation == "none" ? convolved : try silu(.tensor(convolved)),
                try whole.narrowed(2, from: whole.shape[2] - kept, length: kept),
            ]
        }
    }
}
