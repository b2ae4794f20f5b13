import ONNX
import Testing

@testable import ComputationGraph

/// Expected positions are worked out by hand from the operators' definitions; `EngineTests` holds the maps against what the
/// kernels read.
@Suite("Axis maps") struct AxisMapTests {
    /// The map of a node with inputs and outputs of these shapes.
    private func map(
        _ operation: String, _ inputs: [[Int]?], _ outputs: [[Int]?], version: Int = 18,
        constants: [Int: [Int]] = [:], _ attributes: AttributeProto...
    ) throws -> AxisMap? {
        let node = NodeProto(
            operation, inputs: inputs.indices.map { "i\($0)" }, outputs: outputs.indices.map { "o\($0)" },
            attributes: attributes)
        let vertex = Vertex(
            index: 0, node: node, version: version,
            inputs: inputs.indices.map { inputs[$0] == nil ? nil : $0 },
            outputs: outputs.indices.map { outputs[$0] == nil ? nil : inputs.count + $0 }, captured: [])
        return try vertex.facts.axes?(
            AxisQuery(vertex: vertex, inputs: inputs, outputs: outputs, integers: { constants[$0] }))
    }

    /// The positions that output 0 (or another) reads at each position along one of its axes.
    private func reads(
        _ map: AxisMap?, input slot: Int, axis: Int, byOutput output: Int = 0, axis outputAxis: Int
    ) throws -> [[Int]] {
        let map = try #require(map)
        let axes = try #require(map.outputs[output])
        return try (0..<map.length(of: axes[outputAxis])).map {
            try #require(
                map.positions(
                    alongInput: slot, axis: axis, readByOutput: output, axis: outputAxis, at: $0))
        }
    }

    @Test("an operand that broadcasts is read by every position")
    func broadcasting() throws {
        // [2, 3] + [3] and [2, 3] + [2, 1]
        let sum = try map("Add", [[2, 3], [3]], [[2, 3]])
        #expect(try reads(sum, input: 0, axis: 1, axis: 1) == [[0], [1], [2]])
        #expect(try reads(sum, input: 1, axis: 0, axis: 1) == [[0], [1], [2]])
        #expect(try reads(sum, input: 1, axis: 0, axis: 0) == [[0, 1, 2], [0, 1, 2]])
        let column = try map("Mul", [[2, 3], [2, 1]], [[2, 3]])
        #expect(try reads(column, input: 1, axis: 1, axis: 1) == [[0], [0], [0]])
    }

    @Test("a grouped convolution reads the channels of its own group")
    func groupedConvolution() throws {
        // 4 channels in 2 groups become 6: outputs 0..2 read channels 0 and 1, outputs 3..5 channels 2 and 3.
        let grouped = try map(
            "Conv", [[1, 4, 5, 5], [6, 2, 3, 3], [6]], [[1, 6, 3, 3]], AttributeProto(name: "group", int: 2))
        let half = [[0, 1], [0, 1], [0, 1], [2, 3], [2, 3], [2, 3]]
        #expect(try reads(grouped, input: 0, axis: 1, axis: 1) == half)
        let own = (0..<6).map { [$0] }
        #expect(try reads(grouped, input: 1, axis: 0, axis: 1) == own)
        #expect(try reads(grouped, input: 2, axis: 0, axis: 1) == own)
        let depth = try #require(grouped?.inputs[1]?[1].parts.first?.dimensions.first)
        #expect(grouped?.dimensions[depth].kind == .summed)
    }

    @Test("a depthwise convolution keeps its channels apart, a plain one reads them all")
    func depthwiseConvolution() throws {
        let depthwise = try map(
            "Conv", [[1, 3, 5, 5], [3, 1, 3, 3]], [[1, 3, 3, 3]], AttributeProto(name: "group", int: 3))
        #expect(try reads(depthwise, input: 0, axis: 1, axis: 1) == [[0], [1], [2]])
        let plain = try map("Conv", [[1, 3, 5, 5], [2, 3, 3, 3]], [[1, 2, 3, 3]])
        #expect(try reads(plain, input: 0, axis: 1, axis: 1) == [[0, 1, 2], [0, 1, 2]])
    }

    @Test("a transposed convolution has its input channels outermost in its weights")
    func transposedConvolution() throws {
        // 4 channels in 2 groups become 2 · 3; weight [4, 3, 2, 2].
        let transposed = try map(
            "ConvTranspose", [[1, 4, 5, 5], [4, 3, 2, 2]], [[1, 6, 6, 6]],
            AttributeProto(name: "group", int: 2))
        let half = [[0, 1], [0, 1], [0, 1], [2, 3], [2, 3], [2, 3]]
        #expect(try reads(transposed, input: 0, axis: 1, axis: 1) == half)
        #expect(try reads(transposed, input: 1, axis: 0, axis: 1) == half)
        #expect(try reads(transposed, input: 1, axis: 1, axis: 1) == [[0], [1], [2], [0], [1], [2]])
    }

    @Test("products sum over what both factors share")
    func products() throws {
        let product = try map("MatMul", [[5, 2, 3], [3, 4]], [[5, 2, 4]])
        #expect(try reads(product, input: 0, axis: 1, axis: 1) == [[0], [1]])
        #expect(try reads(product, input: 1, axis: 1, axis: 2) == [[0], [1], [2], [3]])
        #expect(product?.inputs[0]?[2] == product?.inputs[1]?[0])
        let gemm = try map(
            "Gemm", [[3, 2], [4, 3], [4]], [[2, 4]], AttributeProto(name: "transA", int: 1),
            AttributeProto(name: "transB", int: 1))
        #expect(try reads(gemm, input: 0, axis: 1, axis: 0) == [[0], [1]])
        #expect(try reads(gemm, input: 1, axis: 0, axis: 1) == [[0], [1], [2], [3]])
        #expect(gemm?.inputs[0]?[0] == gemm?.inputs[1]?[1])
        #expect(try reads(gemm, input: 2, axis: 0, axis: 1) == [[0], [1], [2], [3]])
        let labels = try map(
            "Einsum", [[2, 3], [2, 4]], [[3, 4]], AttributeProto(name: "equation", string: "bi, bj -> ij"))
        #expect(labels?.inputs[0]?[0] == labels?.inputs[1]?[0])
        #expect(try reads(labels, input: 1, axis: 1, axis: 1) == [[0], [1], [2], [3]])
    }

    @Test("operands of a concatenation lie one after the other, and a split takes them apart")
    func joining() throws {
        let joined = try map(
            "Concat", [[2, 2], [2, 1], [2, 3]], [[2, 6]], AttributeProto(name: "axis", int: 1))
        #expect(try reads(joined, input: 0, axis: 1, axis: 1) == [[0], [1], [], [], [], []])
        #expect(try reads(joined, input: 1, axis: 1, axis: 1) == [[], [], [0], [], [], []])
        #expect(try reads(joined, input: 2, axis: 1, axis: 1) == [[], [], [], [0], [1], [2]])
        #expect(try reads(joined, input: 2, axis: 0, axis: 0) == [[0], [1]])
        let split = try map(
            "Split", [[6, 2], [3]], [[2, 2], [1, 2], [3, 2]], AttributeProto(name: "axis", int: 0))
        #expect(try reads(split, input: 0, axis: 0, byOutput: 1, axis: 0) == [[2]])
        #expect(try reads(split, input: 0, axis: 0, byOutput: 2, axis: 0) == [[3], [4], [5]])
    }

    @Test("a slice has the positions between its limits")
    func slicing() throws {
        // numpy: x[:, 1:-1] of 5 columns
        let slice = try map(
            "Slice", [[2, 5], [1], [1], [1]], [[2, 3]], constants: [1: [1], 2: [-1], 3: [1]])
        #expect(try reads(slice, input: 0, axis: 1, axis: 1) == [[1], [2], [3]])
        #expect(try reads(slice, input: 0, axis: 0, axis: 0) == [[0], [1]])
        #expect(try map("Slice", [[2, 5], [1], [1], [1]], [[2, 3]]) == nil)
    }

    @Test("a reshape divides and joins axes where their sizes allow it")
    func reshaping() throws {
        // numpy: heads of a projection, [2, 6] as [2, 3, 2]: column 3 is number 1 of head 1.
        let divided = try map("Reshape", [[2, 6], [3]], [[2, 3, 2]])
        #expect(try reads(divided, input: 0, axis: 1, axis: 1) == [[0, 1], [2, 3], [4, 5]])
        #expect(try reads(divided, input: 0, axis: 1, axis: 2) == [[0, 2, 4], [1, 3, 5]])
        let joined = try map("Reshape", [[2, 3, 2], [2]], [[2, 6]])
        #expect(try reads(joined, input: 0, axis: 1, axis: 1) == [[0], [0], [1], [1], [2], [2]])
        // Of [4, 6] as [6, 4], no axis goes into another.
        let mixed = try map("Reshape", [[4, 6], [2]], [[6, 4]])
        #expect(try reads(mixed, input: 0, axis: 0, axis: 0) == Array(repeating: [0, 1, 2, 3], count: 6))
        let flat = try map("Flatten", [[2, 3, 2, 2]], [[2, 12]])
        #expect(try reads(flat, input: 0, axis: 1, axis: 1) == (0..<12).map { [$0 / 4] })
        #expect(
            try reads(map("Squeeze", [[1, 3, 1], [1]], [[3]]), input: 0, axis: 1, axis: 0) == [[0], [1], [2]])
        #expect(
            try reads(map("Tile", [[1, 2], [2]], [[1, 4]]), input: 0, axis: 1, axis: 1) == [
                [0], [1], [0], [1],
            ])
    }

    @Test("a transposition exchanges axes, and blocks of depth go into space")
    func rearranging() throws {
        let swapped = try map(
            "Transpose", [[2, 3, 4]], [[4, 2, 3]], AttributeProto(name: "perm", ints: [2, 0, 1]))
        #expect(try reads(swapped, input: 0, axis: 2, axis: 0) == [[0], [1], [2], [3]])
        #expect(try reads(swapped, input: 0, axis: 0, axis: 1) == [[0], [1]])
        // 8 channels by blocks of 2: of 2 that stay, channel c reads c, c + 2, c + 4, c + 6 (DCR) or 4c … 4c + 3 (CRD).
        let size = AttributeProto(name: "blocksize", int: 2)
        let outside = try map("DepthToSpace", [[1, 8, 1, 1]], [[1, 2, 2, 2]], size)
        #expect(try reads(outside, input: 0, axis: 1, axis: 1) == [[0, 2, 4, 6], [1, 3, 5, 7]])
        let inside = try map(
            "DepthToSpace", [[1, 8, 1, 1]], [[1, 2, 2, 2]], size, AttributeProto(name: "mode", string: "CRD"))
        #expect(try reads(inside, input: 0, axis: 1, axis: 1) == [[0, 1, 2, 3], [4, 5, 6, 7]])
    }

    @Test("normalisations and reductions mix the positions along their axes alone")
    func normalising() throws {
        let layer = try map("LayerNormalization", [[2, 3], [3], [3]], [[2, 3]])
        #expect(try reads(layer, input: 0, axis: 0, axis: 0) == [[0], [1]])
        #expect(try reads(layer, input: 0, axis: 1, axis: 1) == Array(repeating: [0, 1, 2], count: 3))
        let batch = try map("BatchNormalization", [[2, 3, 4], [3], [3], [3], [3]], [[2, 3, 4]])
        #expect(try reads(batch, input: 4, axis: 0, axis: 1) == [[0], [1], [2]])
        #expect(try reads(batch, input: 0, axis: 2, axis: 2) == [[0], [1], [2], [3]])
        // 4 channels in 2 groups
        let groups = try map(
            "GroupNormalization", [[1, 4, 2], [4], [4]], [[1, 4, 2]], version: 21,
            AttributeProto(name: "num_groups", int: 2))
        #expect(try reads(groups, input: 0, axis: 1, axis: 1) == [[0, 1], [0, 1], [2, 3], [2, 3]])
        let mean = try map(
            "ReduceMean", [[2, 3, 4]], [[2, 4]], AttributeProto(name: "axes", ints: [1]),
            AttributeProto(name: "keepdims", int: 0))
        #expect(try reads(mean, input: 0, axis: 2, axis: 1) == [[0], [1], [2], [3]])
        #expect(try reads(mean, input: 0, axis: 1, axis: 1) == Array(repeating: [0, 1, 2], count: 4))
        let pool = try map("GlobalAveragePool", [[2, 3, 4, 4]], [[2, 3, 1, 1]])
        #expect(try reads(pool, input: 0, axis: 1, axis: 1) == [[0], [1], [2]])
    }

    @Test("heads of queries share those of keys and values")
    func attention() throws {
        // 4 heads of queries over 2 of keys, 3 numbers a head and 2 a value: [batch, length, heads · size]
        let heads = [
            AttributeProto(name: "q_num_heads", int: 4), AttributeProto(name: "kv_num_heads", int: 2),
        ]
        let flat = try map(
            "Attention", [[1, 5, 12], [1, 6, 6], [1, 6, 4]], [[1, 5, 8]], heads[0], heads[1])
        #expect(
            try reads(flat, input: 2, axis: 2, axis: 2) == [[0], [1], [0], [1], [2], [3], [2], [3]])
        #expect(
            try reads(flat, input: 1, axis: 2, axis: 2)
                == Array(repeating: [0, 1, 2], count: 4) + Array(repeating: [3, 4, 5], count: 4))
        #expect(try reads(flat, input: 0, axis: 1, axis: 1) == (0..<5).map { [$0] })
    }

    @Test("a recurrent layer sums over what a step reads, and mixes steps and neurons of its own")
    func recurrent() throws {
        // 4 steps of 2 samples with 3 features, 5 neurons in both directions.
        let shapes: [[Int]?] = [[4, 2, 3], [2, 20, 3], [2, 20, 5], [2, 40], nil, [2, 2, 5]]
        for (operation, gates) in [("LSTM", 4), ("GRU", 3), ("RNN", 1)] {
            var shapes = shapes
            shapes[1] = [2, 5 * gates, 3]
            let layer = try map(operation, shapes, [[4, 2, 2, 5], [2, 2, 5]])
            #expect(try reads(layer, input: 0, axis: 1, axis: 2) == [[0], [1]])
            #expect(try reads(layer, input: 5, axis: 1, byOutput: 1, axis: 1) == [[0], [1]])
            let features = try #require(layer?.inputs[0]?[2])
            #expect(layer?.inputs[1]?[2] == features)
            let found = try #require(layer)
            #expect(features.parts.flatMap(\.dimensions).map { found.dimensions[$0].kind } == [.summed])
            let others = found.outputs[0]?.enumerated().filter { $0.offset != 2 }.map(\.element)
            #expect(others?.contains { found.isExact($0) } == false)
        }
        // With the samples first.
        let first = try map(
            "LSTM", [[2, 4, 3], [1, 20, 3], [1, 20, 5]], [[2, 4, 1, 5]], version: 22,
            AttributeProto(name: "layout", int: 1))
        #expect(try reads(first, input: 0, axis: 0, axis: 0) == [[0], [1]])
    }

    @Test("operators without a simple rule have no map")
    func unknown() throws {
        #expect(try map("NonMaxSuppression", [[1, 4, 4], [1, 2, 4]], [nil]) == nil)
        #expect(try map("Reshape", [[2, 6], [3]], [nil]) == nil)
    }
}
