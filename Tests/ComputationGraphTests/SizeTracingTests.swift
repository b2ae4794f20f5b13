@testable import ComputationGraph
import ONNX
import Testing

/// What follows from an axis that no run varied. Expectations are worked out by hand from the operators' definitions.
@Suite("Sizes that follow from an axis that was not varied")
struct SizeTracingTests {
    /// x [N, 5, 8]; axis 1 is symbolic, and 5 in all runs.
    private func shapes(_ build: (inout SmallModel) throws -> Void) throws -> (Graph, ValueShapes) {
        var model = SmallModel()
        model.input("x", [nil, 5, 8])
        try build(&model)
        let graph = try model.graph()
        let probes = [2, 3].map { batch in model.probe(of: graph, batch: batch) }
        let open = [[SizeExpression.InputAxis(input: 0, axis: 1)]]
        return (graph, ValueShapes(of: graph, probes: probes, unvaried: open))
    }

    private func fixed(_ name: String, in found: (Graph, ValueShapes)) throws -> [Int?]? {
        let value = try #require(found.0.valueIndex[name])
        return found.1.extents(of: value)?.map(\.fixed)
    }

    @Test("an elementwise layer's axis is not fixed, and equal to its input's")
    func elementwise() throws {
        let found = try shapes { model in
            model.node("Relu", ["x"], "r", [nil, 5, 8])
            model.output("r")
        }
        #expect(try fixed("r", in: found) == [nil, nil, 8])
        let (x, r) = (try #require(found.0.valueIndex["x"]), try #require(found.0.valueIndex["r"]))
        #expect(found.1.extents(of: x) == found.1.extents(of: r))
    }

    @Test("a matrix product with weights has the weights' columns")
    func product() throws {
        let found = try shapes { model in
            try model.weight("w", [8, 6])
            model.node("MatMul", ["x", "w"], "y", [nil, 5, 6])
            model.output("y")
        }
        #expect(try fixed("y", in: found) == [nil, nil, 6])
    }

    @Test("a sum with a constant of another size than 1 has that size")
    func sum() throws {
        let found = try shapes { model in
            try model.weight("table", [1, 5, 8])
            model.node("Add", ["x", "table"], "y", [nil, 5, 8])
            model.output("y")
        }
        #expect(try fixed("y", in: found) == [nil, 5, 8])
    }

    @Test("a reshaping to written sizes is fixed, what it infers from an open axis is not")
    func reshaping() throws {
        let found = try shapes { model in
            try model.integers("split", [0, -1, 2, 4])
            try model.integers("flat", [0, 40])
            try model.integers("joined", [0, -1])
            model.node("Reshape", ["x", "split"], "s", [nil, 5, 2, 4])
            model.node("Reshape", ["x", "flat"], "f", [nil, 40])
            model.node("Reshape", ["s", "joined"], "j", [nil, 40])
            model.node("Concat", ["f", "j"], "y", [nil, 80], AttributeProto(name: "axis", int: 1))
            model.output("y")
        }
        #expect(try fixed("s", in: found) == [nil, nil, 2, 4])
        #expect(try fixed("f", in: found) == [nil, 40])
        #expect(try fixed("j", in: found) == [nil, nil])
    }

    @Test("an operator that is not followed makes every size unknown once it has met the axis")
    func unknownOperator() throws {
        let found = try shapes { model in
            model.node("Compress", ["x"], "y", [nil, 5, 8])
            model.output("y")
        }
        #expect(try fixed("y", in: found) == [nil, nil, nil])
        let (x, y) = (try #require(found.0.valueIndex["x"]), try #require(found.0.valueIndex["y"]))
        let (before, after) = (found.1.extents(of: x), found.1.extents(of: y))
        #expect(before?[0] != after?[0] && before?[1] != after?[1])
    }
}
