@testable import ComputationGraph
import ONNX
import Testing

@Suite("Materialising: the model around the nodes")
struct MaterialisingModelTests {
    private func twoInputs(operatorSet: Int = 11, formatVersion: Int64 = 8) throws -> SmallModel {
        var model = SmallModel(operatorSet: operatorSet, formatVersion: formatVersion)
        model.input("x", [nil, 4])
        model.input("y", [nil, 4])
        try model.weight("w", [4, 3])
        try model.weight("v", [3, 3])
        model.node("Gemm", ["x", "w"], "a", [nil, 3])
        model.node("Gemm", ["y", "w"], "b", [nil, 3])
        model.node("Concat", ["a", "b"], "c", [nil, 6], AttributeProto(name: "axis", int: 1))
        try model.weight("u", [6, 3])
        model.node("Gemm", ["c", "u"], "d", [nil, 3])
        model.node("Identity", ["d"], "out", [nil, 3])
        model.output("out")
        return model
    }

    @Test("inputs stay declared when nothing reads them any more, and outputs keep their names")
    func interface() throws {
        let pruned = try twoInputs().without("2:1")
        #expect(pruned.graph.input.map(\.name) == ["x", "y"])
        #expect(pruned.graph.output.map(\.name) == ["out"])
        #expect(pruned.operations == ["Gemm", "Gemm"])
        #expect(pruned.graph.node[1].output == ["out"])
    }

    @Test("in files of format 3 new weights are declared as inputs and old ones are not")
    func initializersAsInputs() throws {
        let pruned = try twoInputs(formatVersion: 3).without("2:1")
        #expect(Set(pruned.graph.input.map(\.name)) == ["x", "y", "w", "u/kept"])
        #expect(Set(pruned.graph.initializer.map(\.name)) == ["w", "u/kept"])
    }

    @Test("an output that becomes another output, or an input, keeps its name")
    func outputsThatCoincide() throws {
        var model = SmallModel()
        model.input("x", [nil, 4])
        model.node("Relu", ["x"], "r", [nil, 4])
        model.node("Add", ["x", "r"], "s", [nil, 4])
        model.output("r")
        model.output("s")
        let same = try model.without("1:0")
        #expect(same.node(computing: "s")?.opType == "Identity")
        #expect(same.node(computing: "s")?.input == ["r"])
        #expect(try model.without("1:1").node(computing: "s")?.input == ["x"])
    }

    @Test("constants have the type of the values that they stand for")
    func elementTypes() throws {
        var model = SmallModel()
        model.input("x", [nil, 2], .float16)
        try model.tensor("w", Constant(.float16, shape: [2, 2], [1, 2, 3, 4]).tensorData())
        try model.tensor("bias", Constant(.float16, shape: [2], [0.1, -1]).tensorData())
        model.node("Gemm", ["x", "w", "bias"], "a", [nil, 2])
        model.node("Add", ["x", "a"], "out", [nil, 2])
        model.output("out", .float16)
        let pruned = try model.without("0:0")
        let constant = try #require(try pruned.initializer(of: pruned.node(computing: "out"), 1))
        #expect(constant.elementType == .float16)
        // The float16 next to 0.1 (NumPy's float16(0.1)).
        #expect(try constant.floats == [0.0999755859375, -1])
    }

    @Test("a mask that leaves an output without an input is refused, and so is an edge that is no candidate")
    func illegalMasks() throws {
        let model = try twoInputs()
        #expect(throws: GraphError.self) { try model.without("2:0", "2:1") }
        #expect(throws: GraphError.self) { try model.without("0:1") }
        #expect(throws: GraphError.self) { try model.without("17:0") }
    }

    @Test("parameters are floating-point weights that are read, without running statistics and scalars")
    func parameterCount() throws {
        var model = SmallModel()
        model.input("x", [nil, 2, 4, 4])
        for name in ["scale", "shift", "mean", "variance"] { try model.weight(name, [2]) }
        try model.weight("unread", [100])
        try model.tensor("factor", TensorData(floats: [2], shape: []))
        try model.integers("shape", [0, -1])
        model.node("BatchNormalization", ["x", "scale", "shift", "mean", "variance"], "n", [nil, 2, 4, 4])
        model.node("Mul", ["n", "factor"], "m", [nil, 2, 4, 4])
        model.node("Reshape", ["m", "shape"], "out", [nil, 32])
        model.output("out")
        #expect(try model.graph().parameterCount == 4)
    }

    @Test("sizes follow from an input's where they are multiples of it in every run, and from nothing else")
    func sizes() throws {
        let shapes = ValueShapes(probes: [
            .init(inputShapes: [[2, 3, 9]], shapes: [[2, 7], [18, 4]]),
            .init(inputShapes: [[3, 3, 20]], shapes: [[3, 7], [60, 8]]),
        ])
        let first = try #require(shapes.extents(of: 0))
        let second = try #require(shapes.extents(of: 1))
        let batch = SizeExpression.InputAxis(input: 0, axis: 0)
        let width = SizeExpression.InputAxis(input: 0, axis: 2)
        #expect(shapes.expression(for: first[0]) == .computed([batch], by: 1))
        #expect(shapes.expression(for: first[1]) == .fixed(7))
        #expect(shapes.expression(for: second[0]) == .computed([batch, width], by: 1))
        #expect(shapes.expression(for: second[1]) == nil)
        #expect(shapes.extents(of: 2) == nil)
    }
}
