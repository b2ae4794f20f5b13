@testable import ComputationGraph
import ONNX
import Testing

/// Zeroed parts of concatenations, with the weights that read them. Expected weights are worked out by hand.
@Suite("Materialising: zeroed parts of concatenations")
struct MaterialisingConcatTests {
    private let channelAxis = AttributeProto(name: "axis", int: 1)

    /// x [N, 2, 4, 4] → a, b [N, 1, 4, 4] by 1×1 convolutions; Concat(a, b, x) → cat with 4 channels.
    private func concatenation() throws -> SmallModel {
        var model = SmallModel()
        model.input("x", [nil, 2, 4, 4])
        try model.weight("wa", [1, 2, 1, 1])
        try model.weight("wb", [1, 2, 1, 1])
        model.node("Conv", ["x", "wa"], "a", [nil, 1, 4, 4])
        model.node("Conv", ["x", "wb"], "b", [nil, 1, 4, 4])
        model.node("Concat", ["a", "b", "x"], "cat", [nil, 4, 4, 4], channelAxis)
        return model
    }

    @Test("a padded convolution loses the input channels of a zeroed operand")
    func convolution() throws {
        var model = try concatenation()
        try model.weight("w", [2, 4, 3, 3])
        model.node(
            "Conv", ["cat", "w"], "out", [nil, 2, 4, 4], AttributeProto(name: "pads", ints: [1, 1, 1, 1]))
        model.output("out")
        let pruned = try model.without("2:1")
        #expect(pruned.operations == ["Conv", "Concat", "Conv"])
        #expect(pruned.graph.node[1].input == ["a", "x"])
        let weights = try #require(try pruned.initializer(of: pruned.node(computing: "out"), 1))
        #expect(weights.shape == [2, 3, 3, 3])
        // Channel 1 of each output (elements 10...18 and 46...54) is gone.
        let kept = (1...9).map(Float.init) + (19...45).map(Float.init) + (55...72).map(Float.init)
        #expect(try weights.floats == kept)
    }

    @Test("what normalisation makes of a zeroed part goes into the bias of a convolution without padding")
    func normalisedPart() throws {
        var model = try concatenation()
        try model.weight("scale", [4], [1, 2, 3, 4])
        try model.weight("shift", [4], [0.5, -3, 6, 1])
        try model.weight("mean", [4], [0, 1, 0, 0])
        try model.weight("variance", [4], [1, 4, 1, 1])
        model.node(
            "BatchNormalization", ["cat", "scale", "shift", "mean", "variance"], "n", [nil, 4, 4, 4],
            AttributeProto(name: "epsilon", float: 0))
        model.node("LeakyRelu", ["n"], "r", [nil, 4, 4, 4], AttributeProto(name: "alpha", float: 0.5))
        try model.weight("w", [1, 4, 1, 1], [10, 20, 30, 40])
        try model.weight("bias", [1], [7])
        model.node("Conv", ["r", "w", "bias"], "out", [nil, 1, 4, 4])
        model.output("out")
        let pruned = try model.without("2:1")
        let convolution = pruned.node(computing: "out")
        #expect(try pruned.initializer(of: convolution, 1)?.floats == [10, 30, 40])
        // Channel 1: (0 - 1) / 2 * 2 - 3 = -4; LeakyRelu: -2; 7 + 20 * -2 = -33.
        #expect(try pruned.initializer(of: convolution, 2)?.floats == [-33])
        let normalisation = try #require(pruned.graph.node.first { $0.opType == "BatchNormalization" })
        #expect(try pruned.initializer(of: normalisation, 2)?.floats == [0.5, 6, 1])
    }

    @Test("the same with padding is written out, since zeros at the border are no such constants")
    func normalisedPartWithPadding() throws {
        var model = try concatenation()
        try model.weight("shift", [1, 4, 1, 1], [1, 2, 3, 4])
        model.node("Add", ["cat", "shift"], "s", [nil, 4, 4, 4])
        try model.weight("w", [1, 4, 3, 3])
        model.node(
            "Conv", ["s", "w"], "out", [nil, 1, 4, 4], AttributeProto(name: "pads", ints: [1, 1, 1, 1]))
        model.output("out")
        let pruned = try model.without("2:0")
        #expect(try pruned.initializer(of: pruned.node(computing: "out"), 1)?.shape == [1, 4, 3, 3])
        #expect(!pruned.graph.initializer.contains { $0.name == "wa" })
    }

    @Test("a depthwise convolution loses whole groups, and what follows loses their biases")
    func depthwise() throws {
        var model = try concatenation()
        try model.weight("d", [4, 1, 3, 3])
        try model.weight("bias", [4], [1, 2, 3, 4])
        model.node(
            "Conv", ["cat", "d", "bias"], "e", [nil, 4, 4, 4], AttributeProto(name: "group", int: 4),
            AttributeProto(name: "pads", ints: [1, 1, 1, 1]))
        try model.weight("w", [1, 4, 1, 1], [10, 20, 30, 40])
        model.node("Conv", ["e", "w"], "out", [nil, 1, 4, 4])
        model.output("out")
        let pruned = try model.without("2:0")
        let depthwise = try #require(pruned.graph.node.first { $0.hasAttribute("group") })
        #expect(try depthwise.int("group") == 3)
        #expect(try pruned.initializer(of: depthwise, 1)?.shape == [3, 1, 3, 3])
        #expect(try pruned.initializer(of: depthwise, 2)?.floats == [2, 3, 4])
        // Group 0 gives its bias 1 everywhere, and the last layer weighs it with 10.
        #expect(try pruned.initializer(of: pruned.node(computing: "out"), 2)?.floats == [10])
    }

    @Test("through Flatten, a linear layer loses the rows of every position of a channel")
    func flattened() throws {
        var model = try concatenation()
        model.node("Flatten", ["cat"], "f", [nil, 64])
        try model.weight("w", [64, 1])
        model.node("Gemm", ["f", "w"], "out", [nil, 1])
        model.output("out")
        let pruned = try model.without("2:1")
        let rows = (1...16).map(Float.init) + (33...64).map(Float.init)
        #expect(try pruned.initializer(of: pruned.node(computing: "out"), 1)?.floats == rows)
    }

    @Test("a gate that is live is taken apart, a sum with a live value puts the zeros back")
    func mixedConsumers() throws {
        var model = try concatenation()
        model.node("Sigmoid", ["y"], "g", [nil, 4, 1, 1])
        model.input("y", [nil, 4, 1, 1])
        model.node("Mul", ["cat", "g"], "m", [nil, 4, 4, 4])
        model.node("Add", ["m", "z"], "out", [nil, 4, 4, 4])
        model.input("z", [nil, 4, 4, 4])
        model.output("out")
        let pruned = try model.without("2:2")
        let product = try #require(pruned.graph.node.first { $0.opType == "Mul" })
        let gate = try #require(pruned.node(computing: product.input[1]))
        #expect(gate.opType == "Slice")
        #expect(try pruned.initializer(of: gate, 2)?.int64s == [2])
        let sum = try #require(pruned.node(computing: "out"))
        #expect(pruned.node(computing: sum.input[0])?.opType == "Concat")
    }

    @Test("Split gives back the parts that are zero and those that are live")
    func split() throws {
        var model = try concatenation()
        try model.integers("sizes", [2, 2])
        model.node("Relu", ["cat"], "r", [nil, 4, 4, 4])
        model.node("Slice", ["r", "start", "end", "axes"], "s", [nil, 2, 4, 4])
        try model.integers("start", [2])
        try model.integers("end", [4])
        try model.integers("axes", [1])
        model.node("Slice", ["r", "zero", "start", "axes"], "t", [nil, 2, 4, 4])
        try model.integers("zero", [0])
        model.node("Add", ["s", "t"], "out", [nil, 2, 4, 4])
        model.output("out")
        // Without a and b, the second part is zero and the first is Relu(x).
        let pruned = try model.without("2:0", "2:1")
        #expect(pruned.operations == ["Relu"])
    }
}
