@testable import ComputationGraph
import ONNX
import Testing

/// Zero times what is not finite is NaN (IEEE 754). Which values may be that follows from the layers by hand.
@Suite("Zeros and factors that may not be finite")
struct FinitenessRiskTests {
    /// x → a = x·w, n = |a| (ReduceL2), s = Max(n, floor), u = a / s; g = Sigmoid(x); m = g · u; out = m + x.
    private func normalised(floor: Float) throws -> Graph {
        var model = SmallModel()
        model.input("x", [nil, 4])
        try model.weight("w", [4, 4])
        try model.weight("floor", [1], [floor])
        model.node("MatMul", ["x", "w"], "a", [nil, 4])
        model.node("ReduceL2", ["a"], "n", [nil, 1], AttributeProto(name: "axes", ints: [1]))
        model.node("Max", ["n", "floor"], "s", [nil, 1])
        model.node("Div", ["a", "s"], "u", [nil, 4])
        model.node("Sigmoid", ["x"], "g", [nil, 4])
        model.node("Mul", ["g", "u"], "m", [nil, 4])
        model.node("Relu", ["m"], "r", [nil, 4])
        model.node("Add", ["r", "x"], "out", [nil, 4])
        model.output("out")
        return try model.graph()
    }

    private func mask(_ edges: String...) -> Mask { Mask(edges.compactMap(Edge.init)) }

    @Test("EquivalenceClasses with a cut divisor keep zeros before the product that reads the quotient")
    func divisorIsCut() throws {
        let classes = try EquivalenceClasses(of: normalised(floor: 0.1))
        #expect(classes.canonical(mask("5:0")) == mask("7:0"))
        #expect(classes.canonical(mask("5:0", "3:1")) == mask("3:1", "5:0"))
    }

    @Test("EquivalenceClasses with a divisor above a constant pass zeros through the product")
    func divisorHasFloor() throws {
        let classes = try EquivalenceClasses(of: normalised(floor: 0.1))
        // Without a, the norm is 0, and the divisor the floor.
        #expect(classes.canonical(mask("5:0", "1:0")) == mask("2:0", "7:0"))
    }

    @Test("EquivalenceClasses with a divisor that may become 0 keep zeros before the product")
    func divisorMayBeZero() throws {
        let classes = try EquivalenceClasses(of: normalised(floor: 0))
        #expect(classes.canonical(mask("5:0", "1:0")) == mask("2:0", "5:0"))
    }

    @Test("Materialising zero times a quotient without divisor keeps the product")
    func productStays() throws {
        var model = SmallModel()
        model.input("x", [nil, 4])
        model.node("Sigmoid", ["x"], "g", [nil, 4])
        model.node("Div", ["x", "g"], "u", [nil, 4])
        model.node("Mul", ["g", "u"], "m", [nil, 4])
        model.node("Add", ["m", "x"], "out", [nil, 4])
        model.output("out")
        #expect(!(try model.without("2:0").operations.contains("Mul")))
        #expect(try model.without("2:0", "1:1").operations.contains("Mul"))
    }
}
