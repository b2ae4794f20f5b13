import ComputationGraph
import Datasets
import ONNX
import Testing
import Torch

@testable import Engine

@Suite("A program")
struct ProgramTests {
    @Test("is made once for each set of input shapes")
    func reuse() throws {
        let fixture = try ModelFixture("resnet18")
        func inputs(_ samples: [Int]) throws -> [Tensor] {
            try fixture.graph.inputs.map { try Tensor(fixture.dataset.gather(samples, from: $0.name)) }
        }
        let first = try fixture.network.specialisation(for: inputs([0, 1]))
        #expect(try fixture.network.specialisation(for: inputs([4, 2])) === first)
        let other = try fixture.network.specialisation(for: inputs([4]))
        #expect(other !== first)
        #expect(other.program.inputShapes == [[1, 3, 32, 32]])
        #expect(try fixture.network.specialisation(for: inputs([7, 7])) === first)
    }

    /// What exporters write around Reshape is computed once: none of it is left among the steps.
    @Test("computes once what depends on shapes alone", arguments: ["vit", "bert", "gpt2", "swin"])
    func foldsShapes(model: String) throws {
        let fixture = try ModelFixture(model)
        let inputs = try fixture.graph.inputs.map {
            try Tensor(fixture.dataset.gather([0, 1], from: $0.name))
        }
        let program = try fixture.network.specialisation(for: inputs).program
        #expect(program.steps.count < fixture.graph.vertices.count)
        for step in program.steps {
            let vertex = fixture.graph.vertices[step.vertex]
            #expect(vertex.operation != "Shape" && vertex.operation != "ConstantOfShape", "\(vertex.name)")
            #expect(
                vertex.inputs.contains { $0.map { fixture.graph.values[$0].dependsOnData } ?? false },
                "\(vertex.name)")
        }
    }

    /// x with every non-zero element v replaced by max(v, 0) · w + v: the number of elements differs from block to
    /// block although the shapes of the inputs are the same.
    private func dynamicModel() throws -> Graph {
        let shape: [Int?] = [nil, 4]
        return try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: shape)],
            outputs: [ValueInfoProto(name: "y", .float32, shape: shape)],
            initializers: [TensorProto("two", scalar: 2)],
            nodes: [
                NodeProto("NonZero", inputs: ["x"], outputs: ["columns"]),
                NodeProto("Transpose", inputs: ["columns"], outputs: ["places"]),
                NodeProto("GatherND", inputs: ["x", "places"], outputs: ["values"]),
                NodeProto("Relu", inputs: ["values"], outputs: ["positive"]),
                NodeProto("Mul", inputs: ["positive", "two"], outputs: ["doubled"]),
                NodeProto("Add", inputs: ["doubled", "values"], outputs: ["sum"]),
                NodeProto("ScatterND", inputs: ["x", "places", "sum"], outputs: ["y"]),
            ])
    }

    @Test("follows shapes that depend on the elements, also where an edge of such a shape is removed")
    func dynamicShapes() throws {
        let graph = try dynamicModel()
        let network = try Network(graph)
        let blocks: [[Float]] = [
            [1, -2, 0, 3, 0, 0, -1, 4], [0, 0, 0, 0, 0, 0, 5, 0], [1, 2, 3, 4, 5, 6, 7, -8],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ]
        func outputs(_ block: [Float], _ edges: [String]) throws -> [Float] {
            let mask = Mask(edges.compactMap { Edge($0) })
            return try network.run(["x": NumpyArray(shape: [2, 4], values: block)], mask: mask)[0].1.floats()
        }
        for block in blocks + blocks.reversed() {
            #expect(try outputs(block, []) == block.map { 2 * max($0, 0) + $0 })
            // Without the values into Add: 2 · max(v, 0). Into Relu, or out of Mul: v. Both: 0.
            #expect(try outputs(block, ["5:1"]) == block.map { 2 * max($0, 0) })
            #expect(try outputs(block, ["3:0"]) == block)
            #expect(try outputs(block, ["5:0"]) == block)
            #expect(try outputs(block, ["3:0", "5:1"]) == block.map { _ in 0 })
            // ScatterND without its updates: zeros where there was something. Without x: sums on zeros.
            #expect(try outputs(block, ["6:2"]) == block.map { _ in 0 })
            #expect(try outputs(block, ["6:0"]) == block.map { 2 * max($0, 0) + $0 })
        }
    }

    @Test("shares base passes of such models too")
    func dynamicPrefix() throws {
        let graph = try dynamicModel()
        let dataset = try Dataset(
            [("x", NumpyArray(shape: [4, 4], values: (0..<16).map { Float(($0 * 5) % 7 - 3) }))],
            inputs: graph.inputs)
        let evaluator = try Evaluator(Network(graph), dataset: dataset, loss: .selfMeanSquaredError)
        let edges = try Candidates(of: graph, selection: .all).all
        #expect(edges.count >= 6)
        for block in [[0, 1], [2, 3], [3, 0]] {
            let together = try evaluator.evaluate(
                state: .empty, samples: block, expansions: edges.map { Unit($0) }
            ).map(
                Bits.init)
            for (edge, scores) in zip(edges, together) {
                #expect(
                    Bits(try evaluator.evaluate(state: Mask([edge]), samples: block, expansions: [nil])[0])
                        == scores)
            }
        }
    }

    @Test("of a model that was exported for one batch size works for it, and names the node for others")
    func fixedBatch() throws {
        let graph = try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: [4, 6])],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [4, 6])],
            initializers: [TensorProto("shape", int64s: [4, 3, 2]), TensorProto("flat", int64s: [4, 6])],
            nodes: [
                NodeProto("Reshape", inputs: ["x", "shape"], outputs: ["parts"], name: "fold"),
                NodeProto("Softmax", inputs: ["parts"], outputs: ["shares"]),
                NodeProto("Add", inputs: ["shares", "parts"], outputs: ["sum"]),
                NodeProto("Reshape", inputs: ["sum", "flat"], outputs: ["y"]),
            ])
        let x = try NumpyArray(shape: [8, 6], values: (0..<48).map { Float($0 % 11) / 4 })
        let dataset = try Dataset([("x", x)], inputs: graph.inputs)
        let evaluator = try Evaluator(Network(graph), dataset: dataset, loss: .selfMeanSquaredError)
        let scores = try evaluator.evaluate(
            state: .empty, samples: [0, 2, 4, 6], expansions: [nil, Unit(Edge(node: 2, slot: 0))])
        #expect(scores[0].losses == [0, 0, 0, 0] && scores[1].losses.allSatisfy { $0 > 0 })
        let again = try evaluator.evaluate(
            state: .empty, samples: [6, 4, 2, 0], expansions: [Unit(Edge(node: 2, slot: 0))])
        #expect(again[0].losses == scores[1].losses.reversed())
        do {
            _ = try evaluator.evaluate(state: .empty, samples: [0, 1, 2], expansions: [nil])
            Issue.record("a batch of 3 went through a model for 4")
        } catch { #expect("\(error)".contains("node 0 (fold, Reshape)")) }
    }
}
