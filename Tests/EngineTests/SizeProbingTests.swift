import ComputationGraph
import Datasets
import Foundation
import ONNX
import Testing

@testable import Engine

/// Sizes at which a model runs, found by running it. What runs follows from the models' definitions.
@Suite("Sizes at which a model runs")
struct SizeProbingTests {
    private func input(_ name: String, _ axes: [String?]) -> ValueInfoProto {
        var info = ValueInfoProto(name: name, .float32, shape: axes.map { $0.flatMap(Int.init) })
        for (axis, text) in axes.enumerated() {
            if let text, Int(text) == nil { info.type.tensorType.shape.dim[axis].dimParam = text }
        }
        return info
    }

    private func node(
        _ operation: String, _ inputs: [String], _ output: String, _ attributes: AttributeProto...
    )
        -> NodeProto
    {
        NodeProto(operation, inputs: inputs, outputs: [output], name: output, attributes: attributes)
    }

    private func array(_ shape: [Int]) throws -> NumpyArray {
        try NumpyArray(shape: shape, values: (0..<shape.reduce(1, *)).map { Float($0 % 7) - 3 })
    }

    /// What probing finds from these input shapes: sizes met per input axis, and axes that were not varied.
    private func probe(_ graph: Graph, _ shapes: [[Int]]) throws -> (sizes: [[Set<Int>]], unvaried: Int) {
        let network = try Network(graph)
        var probing = SizeProbing(graph, arrays: try shapes.map(array), limit: 1 << 20) { inputs in
            try network.unkeptProgram(for: inputs).shapes
        }
        try probing.search()
        let found = probing.probes
        return (
            shapes.indices.map { input in
                shapes[input].indices.map { axis in Set(found.map { $0.inputShapes[input][axis] }) }
            }, probing.unvaried.count
        )
    }

    @Test("SizeProbing with the same length under two names changes both together, up and down")
    func twoNames() throws {
        let graph = try smallModel(
            inputs: [input("x", ["b", "t", "3"]), input("m", ["b", "t_mask", "3"])],
            outputs: [input("y", ["b", "t", "3"])], nodes: [node("Mul", ["x", "m"], "y")])
        let (sizes, unvaried) = try probe(graph, [[2, 7, 3], [2, 7, 3]])
        #expect(unvaried == 0)
        #expect(sizes[0][1] == sizes[1][1])
        #expect(try #require(sizes[0][1].min()) < 7)
        #expect(try #require(sizes[0][1].max()) > 7)
    }

    @Test("SizeProbing with axes without names finds which of them are the batch")
    func withoutNames() throws {
        let graph = try smallModel(
            inputs: [input("x", [nil, "4"]), input("z", [nil, "4"])], outputs: [input("y", [nil, "4"])],
            nodes: [node("Add", ["x", "z"], "y")])
        let (sizes, unvaried) = try probe(graph, [[2, 4], [2, 4]])
        #expect(unvaried == 0)
        #expect(sizes[0][0] == sizes[1][0] && sizes[0][0].count > 1)
    }

    @Test("SizeProbing with a past and a present changes each with their sum")
    func pastAndPresent() throws {
        let graph = try smallModel(
            inputs: [
                input("past", ["b", "p", "3"]), input("x", ["b", "t", "3"]), input("m", ["b", "all", "3"]),
            ],
            outputs: [input("y", ["b", "all", "3"])],
            nodes: [
                node("Concat", ["past", "x"], "c", AttributeProto(name: "axis", int: 1)),
                node("Mul", ["c", "m"], "y"),
            ])
        for past in [4, 3, 0] {
            let (sizes, unvaried) = try probe(graph, [[2, past, 3], [2, 3, 3], [2, past + 3, 3]])
            #expect(unvaried == 0)
            #expect(sizes[0][1].count > 2 && sizes[1][1].count > 2)
            #expect(!sizes[0][1].contains(0))
        }
    }

    @Test("SizeProbing with a table that bounds a length finds shorter ones")
    func boundedLength() throws {
        let graph = try smallModel(
            inputs: [input("x", ["b", "t", "3"])], outputs: [input("y", ["b", "t", "3"])],
            initializers: [
                TensorProto("zero", int64s: [0]), TensorProto("one", int64s: [1]),
                TensorProto("two", int64s: [2]),
                TensorProto("rows", int64s: [9, 1]), TensorProto("number", scalar: 1),
            ],
            nodes: [
                node("Expand", ["number", "rows"], "table"), node("Shape", ["x"], "shape"),
                node("Slice", ["shape", "one", "two", "zero"], "t"),
                node("Slice", ["table", "zero", "t", "zero"], "p"),
                node("Add", ["x", "p"], "y"),
            ])
        let (sizes, unvaried) = try probe(graph, [[2, 9, 3]])
        #expect(unvaried == 0)
        #expect(try #require(sizes[0][1].max()) == 9)
        #expect(sizes[0][1].count > 2)
    }

    @Test("SizeProbing with a symbolic axis that the weights fix tells that it was not varied")
    func fixedByWeights() throws {
        let graph = try smallModel(
            inputs: [input("x", ["b", "t"])], outputs: [input("y", ["b", "5"])],
            initializers: [TensorProto("rows", int64s: [0, 5])], nodes: [node("Reshape", ["x", "rows"], "y")])
        let (sizes, unvaried) = try probe(graph, [[2, 5]])
        #expect(unvaried == 1)
        #expect(sizes[0][1] == [5])
    }
}
