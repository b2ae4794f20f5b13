internal import ONNX

/// Attention and what goes with it in transformers.
extension OperatorFacts {
    static let attention: [String: OperatorFacts] = [
        "Attention": OperatorFacts(
            // Outputs: the result, the keys and the values with the past ones, the scores.
            outputType: { $0.position == 2 ? $0.input(2) : $0.position == 1 ? $0.input(1) : $0.input(0) },
            axes: attentionAxes, slicing: countingHeads,
            // A mean of values that are zero; those of a past cache need not be.
            preservesZeros: { $0.slot == 2 && !$0.hasInput(5) }, operations: attentionOperations,
            role: .product),
        "CausalConvWithState": OperatorFacts(
            operations: { 2 * $0.outputElements * ($0.input(1)?.last ?? 0) }, role: .product,
            trained: .slots(1..<3)),
        "LinearAttention": OperatorFacts(
            outputType: { $0.position == 0 ? $0.input(0) : $0.input(3) ?? $0.input(0) },
            operations: linearAttentionOperations, role: .product),
        "RotaryEmbedding": OperatorFacts(
            axes: rotatedAxes, slicing: countingRotatedHeads, preservesZeros: inFirst,
            operations: { 3 * $0.outputElements }),
    ]

    /// Heads of queries are heads of keys times those that share them. Without a cache; with one, nothing is said.
    private static let attentionAxes: AxisRule = { query in
        guard let q = query.input(0), let k = query.input(1), let v = query.input(2),
            q.count == k.count, k.count == v.count, q.count == 3 || q.count == 4,
            (4..<6).allSatisfy({ query.input($0) == nil }),
            query.outputs.dropFirst().allSatisfy({ $0 == nil })
        else { return nil }
        let isFlat = q.count == 3
        let node = query.vertex.node
        let heads = isFlat ? try node.int("q_num_heads") : q[1]
        let shared = isFlat ? try node.int("kv_num_heads") : k[1]
        guard heads > 0, shared > 0, heads % shared == 0 else { return nil }
        func size(_ shape: [Int], _ count: Int) -> Int { isFlat ? shape[2] / count : shape[3] }
        var builder = AxisMapBuilder()
        let (sample, group) = (builder.axis(q[0]), builder.axis(shared))
        let member = builder.axis(heads / shared)
        let rows = builder.axis(q[q.count - 2])
        let columns = builder.axis(k[k.count - 2], .mixed)
        let inner = builder.axis(size(q, heads), .summed)
        let values = builder.axis(size(v, shared))
        func axes(_ heads: AxisMap.Axis, _ length: AxisMap.Axis, _ size: AxisMap.Axis) -> [AxisMap.Axis] {
            isFlat ? [sample, length, builder.product(heads, size)] : [sample, heads, length, size]
        }
        let all = builder.product(group, member)
        // The mask broadcasts to the scores.
        let scores = [q[0], heads, q[q.count - 2], k[k.count - 2]]
        let mask = query.input(3).flatMap {
            builder.broadcast($0, to: [sample, all, rows, columns], of: scores)
        }
        let inputs = [
            axes(all, rows, inner), axes(group, columns, inner), axes(group, columns, values), mask,
        ]
        return builder.map(
            inputs: query.inputs.indices.map { $0 < 4 ? inputs[$0] : nil }, outputs: [axes(all, rows, values)]
        )
    }

    /// Heads go as a whole, with those that share their keys.
    private static let countingHeads: SlicingRule = { node in
        guard let shape = node.shape(ofInput: 0), shape.count == 3 else { return }
        for (name, slot) in [("q_num_heads", 0), ("kv_num_heads", 1)] {
            let heads = try node.vertex.node.int(name)
            // Where heads become narrower their number stays.
            guard heads > 0, let width = node.shape(ofInput: slot)?[2],
                node.lost(ofInput: slot, axis: 2).count % (width / heads) == 0,
                node.hasWholeRuns(ofInput: slot, axis: 2, length: width / heads)
            else { continue }
            node.set(name, node.size(ofInput: slot, axis: 2) / (width / heads))
        }
    }

    private static let countingRotatedHeads: SlicingRule = { node in
        guard let shape = node.shape(), shape.count == 3 else { return }
        let heads = try node.vertex.node.int("num_heads", default: 0)
        if heads > 0 { node.set("num_heads", node.size(axis: 2) / max(1, shape[2] / heads)) }
    }

    /// The numbers of a head are turned in pairs.
    private static let rotatedAxes: AxisRule = { query in
        guard let shape = query.input(0), query.output == shape, shape.count == 3 || shape.count == 4 else {
            return nil
        }
        var builder = AxisMapBuilder()
        var axes = builder.axes(shape.dropLast(), .separate)
        if shape.count == 4 {
            axes.append(builder.axis(shape[3], .mixed))
        } else {
            let heads = try query.vertex.node.int("num_heads", default: 0)
            guard heads > 0, shape[2] % heads == 0 else { return nil }
            let head = builder.axis(heads)
            axes.append(builder.product(head, builder.axis(shape[2] / heads, .mixed)))
        }
        return builder.map(inputs: [axes] + query.inputs.dropFirst().map { _ in nil }, outputs: [axes])
    }

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
