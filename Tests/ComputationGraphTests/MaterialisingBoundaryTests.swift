@testable import ComputationGraph
import ONNX
import Testing

/// What is left where a zero meets live values. Expected structures are worked out by hand.
@Suite("Materialising: where zeros meet live values")
struct MaterialisingBoundaryTests {
    /// x → Gemm a → Relu b; Add(x, b) → c; Gemm → out.
    private func residual() throws -> SmallModel {
        var model = SmallModel()
        model.input("x", [nil, 3])
        try model.weight("w", [3, 3])
        try model.weight("bias", [3], [1, -2, 3])
        try model.weight("v", [3, 2])
        model.node("Gemm", ["x", "w", "bias"], "a", [nil, 3])
        model.node("Relu", ["a"], "b", [nil, 3])
        model.node("Add", ["x", "b"], "c", [nil, 3])
        model.node("Gemm", ["c", "v"], "out", [nil, 2])
        model.output("out")
        return model
    }

    @Test("a cut branch goes with its weights, and x + 0 is x")
    func branchGoes() throws {
        let pruned = try residual().without("2:1")
        #expect(pruned.operations == ["Gemm"])
        #expect(pruned.graph.node[0].input == ["x", "v"])
        #expect(pruned.graph.initializer.map(\.name) == ["v"])
        #expect(try Graph(ModelFile(unchecked: pruned)).parameterCount == 6)
    }

    @Test("a cut skip connection leaves the branch as the sum")
    func skipGoes() throws {
        let pruned = try residual().without("2:0")
        #expect(pruned.operations == ["Gemm", "Relu", "Gemm"])
        #expect(pruned.node(computing: "out")?.input == ["b", "v"])
    }

    @Test("a layer that reads zeros becomes its bias, folded through what follows")
    func biasIsFolded() throws {
        let pruned = try residual().without("0:0")
        #expect(pruned.operations == ["Add", "Gemm"])
        let sum = pruned.graph.node[0]
        #expect(sum.input[0] == "x")
        // Relu of the bias.
        #expect(try pruned.initializer(of: sum, 1)?.floats == [1, 0, 3])
    }

    @Test("0 - x is -x, and x times a cut factor is zero in the shape that x had")
    func differenceAndProduct() throws {
        var model = SmallModel()
        model.input("x", [nil, 4])
        model.node("Relu", ["x"], "r", [nil, 4])
        model.node("Sub", ["r", "x"], "d", [nil, 4])
        model.node("Mul", ["d", "r"], "m", [nil, 4])
        model.node("Add", ["m", "x"], "out", [nil, 4])
        model.output("out")
        #expect(try model.without("1:0").operations == ["Relu", "Neg", "Mul", "Add"])
        let pruned = try model.without("2:0")
        #expect(pruned.operations == ["Identity"])
        #expect(pruned.graph.node[0].input == ["x"])
        #expect(pruned.graph.node[0].output == ["out"])
    }

    @Test("where a zero was the larger operand, the other is expanded to the sizes of the input")
    func smallerOperandIsExpanded() throws {
        var model = SmallModel()
        model.input("x", [nil, 3, 4])
        model.node("ReduceMean", ["x"], "m", [nil, 1, 4], AttributeProto(name: "axes", ints: [1]))
        model.node("Add", ["x", "m"], "out", [nil, 3, 4])
        model.output("out")
        let pruned = try model.without("1:0")
        let expand = try #require(pruned.node(computing: "out"))
        #expect(expand.opType == "Expand")
        #expect(expand.input[0] == "m")
        let sizes = try #require(pruned.node(computing: expand.input[1]))
        #expect(sizes.opType == "Concat")
        #expect(try pruned.initializer(of: sizes, 1)?.int64s == [3, 4])
        let batch = try #require(pruned.node(computing: sizes.input[0]))
        #expect(batch.opType == "Gather")
        #expect(pruned.node(computing: batch.input[0])?.input == ["x"])
    }

    @Test("attention over cut scores is the mean over the values")
    func attentionBecomesMean() throws {
        var model = SmallModel()
        model.input("x", [nil, 4, 2])
        model.node("Transpose", ["x"], "t", [nil, 2, 4], AttributeProto(name: "perm", ints: [0, 2, 1]))
        model.node("MatMul", ["x", "t"], "s", [nil, 4, 4])
        model.node("Softmax", ["s"], "p", [nil, 4, 4])
        model.node("MatMul", ["p", "x"], "out", [nil, 4, 2])
        model.output("out")
        let pruned = try model.without("2:0")
        #expect(!pruned.operations.contains("Softmax"))
        let mean = try #require(pruned.graph.node.first { $0.opType == "Mul" })
        #expect(try pruned.initializer(of: mean, 0)?.floats == [0.25])
        #expect(pruned.node(computing: mean.input[1])?.opType == "ReduceSum")
        #expect(pruned.node(computing: "out")?.opType == "Expand")
    }

    @Test("a padded convolution over a constant is computed for one sample")
    func paddedConvolutionRunsOnce() throws {
        var model = SmallModel()
        model.input("x", [nil, 1, 8, 8])
        try model.weight("w", [1, 1, 3, 3])
        try model.weight("bias", [1], [2])
        let padding = AttributeProto(name: "pads", ints: [1, 1, 1, 1])
        model.node("Conv", ["x", "w", "bias"], "a", [nil, 1, 8, 8], padding)
        model.node("Conv", ["a", "w"], "b", [nil, 1, 8, 8], padding)
        model.node("Add", ["x", "b"], "out", [nil, 1, 8, 8])
        model.output("out")
        let pruned = try model.without("0:0")
        // The map would have 64 elements where the weights have 9.
        let convolution = try #require(pruned.node(computing: "b/small"))
        let constant = try #require(pruned.node(computing: convolution.input[0]))
        #expect(constant.opType == "Expand")
        #expect(try pruned.initializer(of: constant, 0)?.floats == [2])
        #expect(try pruned.initializer(of: constant, 1)?.int64s == [1, 1, 8, 8])
    }

    @Test("a shape taken from a layer that nothing else needs is worked out from the input")
    func weakShapes() throws {
        var model = SmallModel()
        model.input("x", [nil, 4])
        try model.weight("w", [4, 6])
        try model.integers("rows", [2, 3])
        model.node("MatMul", ["x", "w"], "h", [nil, 6])
        model.node("Shape", ["h"], "s", [2])
        model.node("Reshape", ["x", "s2"], "r", [nil, 4])
        model.node("Relu", ["h"], "q", [nil, 6])
        model.node("Expand", ["one", "s"], "e", [nil, 6])
        model.node("Add", ["e", "q"], "f", [nil, 6])
        model.node("ReduceSum", ["x"], "t", [nil, 1], AttributeProto(name: "axes", ints: [1]))
        model.node("Add", ["f", "t"], "out", [nil, 6])
        model.output("out")
        try model.weight("one", [1], [1])
        try model.integers("s2", [0, 4])
        let pruned = try model.without("5:1")
        #expect(!pruned.operations.contains("MatMul"))
        #expect(pruned.graph.node.first { $0.opType == "Shape" }?.input == ["x"])
        #expect(pruned.graph.initializer.allSatisfy { $0.name != "w" })
    }
}
