import ComputationGraph
import Datasets
import ONNX
import Testing
import Torch

@testable import Engine

/// Small models made here: x [N, 4] → `nodes` → t [N, 4] → Gemm → logits [N, 3], on four samples.
private func evaluator(_ nodes: [NodeProto], edges: [Edge], weights: [Float] = weights) throws
    -> GateEvaluator
{
    var model = ModelProto()
    model.irVersion = 10
    model.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
    model.graph.name = "test"
    model.graph.node = nodes + [NodeProto("Gemm", inputs: ["t", "w"], outputs: ["y"], name: "head")]
    model.graph.initializer = [
        TensorProto(name: "w", try TensorData(floats: weights, shape: [4, 3])),
        TensorProto(name: "narrow", try TensorData(int64s: [-1, 2], shape: [2])),
        TensorProto(name: "wide", try TensorData(int64s: [-1, 4], shape: [2])),
    ]
    model.graph.input = [ValueInfoProto(name: "x", .float32, shape: [nil, 4])]
    model.graph.output = [ValueInfoProto(name: "y", .float32, shape: [nil, 3])]
    let graph = try Graph(ModelFile(unchecked: model))
    let x: [Float] = [0.3, -1.2, 2.1, 0.4, -0.7, 0.2, 1.6, -2.2, 1.9, 0.8, -0.1, 0.6, 0.45, -0.35, 1.1, 2.7]
    let bytes = try NumpyArchive.encode([
        ("x", NumpyArray(shape: [4, 4], values: x)),
        ("labels", NumpyArray(shape: [4], values: [0, 2, 1, 1] as [Int64])),
    ])
    let dataset = try Dataset(
        NumpyArchive(bytes: bytes, path: "memory"),
        inputs: [InputSpecification(name: "x", elementTypeName: "float32", shape: [nil, 4])])
    return try GateEvaluator(Network(graph), dataset: dataset, loss: .crossEntropy, edges: edges)
}

private let weights: [Float] = [0.5, -0.3, 0.8, -0.6, 0.1, 0.4, 0.7, -0.9, 0.2, -0.2, 0.6, -0.5]
private let ones = [Float](repeating: 1, count: 4)

extension GateTests {
    @Suite struct NonDifferentiablePathTests {
        /// The edges into node 0 and the two into the Add at the end.
        private let edges = [Edge(node: 0, slot: 0), Edge(node: 1, slot: 0), Edge(node: 1, slot: 1)]

        @Test func roundingIsNamedWhereItEndsAGradient() throws {
            let evaluator = try evaluator(
                [
                    NodeProto("Round", inputs: ["x"], outputs: ["r"], name: "rounding"),
                    NodeProto("Add", inputs: ["r", "x"], outputs: ["t"]),
                ], edges: edges)
            let found = try evaluator.gradients(samples: [0, 1, 2, 3], weights: ones)
            let gaps = try evaluator.gaps(in: found.totals, samples: [0, 1, 2, 3])
            #expect(gaps.map(\.edge) == [edges[0]])
            #expect(gaps.first?.description == "edge 0:0: node 0 (rounding, Round) passes no gradient")
        }

        @Test func aCastToIntegersIsNamedWhereItEndsAGradient() throws {
            let evaluator = try evaluator(
                [
                    NodeProto("Relu", inputs: ["x"], outputs: ["p"]),
                    NodeProto(
                        "Cast", inputs: ["p"], outputs: ["i"], name: "truncation",
                        attributes: [AttributeProto(name: "to", int: 7)]),
                    NodeProto(
                        "Cast", inputs: ["i"], outputs: ["r"],
                        attributes: [AttributeProto(name: "to", int: 1)]),
                    NodeProto("Add", inputs: ["r", "x"], outputs: ["t"]),
                ], edges: [Edge(node: 0, slot: 0), Edge(node: 1, slot: 0), Edge(node: 3, slot: 1)])
            let found = try evaluator.gradients(samples: [0, 1, 2, 3], weights: ones)
            #expect(found.totals[0] == nil && found.totals[1] == nil && found.totals[2] != nil)
            let gaps = try evaluator.gaps(in: found.totals, samples: [0, 1, 2, 3])
            #expect(gaps.map(\.vertex) == [1, 1])
            #expect(gaps.first?.reason == "node 1 (truncation, Cast) passes no gradient")
        }

        @Test func aDeadActivationIsNoGap() throws {
            // −|x| − ReLU of it is 0 everywhere, and so is the influence of its edge.
            let evaluator = try evaluator(
                [
                    NodeProto("Abs", inputs: ["x"], outputs: ["a"]),
                    NodeProto("Neg", inputs: ["a"], outputs: ["n"]),
                    NodeProto("Relu", inputs: ["n"], outputs: ["r"]),
                    NodeProto("Add", inputs: ["r", "x"], outputs: ["t"]),
                ], edges: [Edge(node: 2, slot: 0)])
            let found = try evaluator.gradients(samples: [0, 1, 2, 3], weights: ones)
            #expect(found.totals == [0])
            #expect(try evaluator.gaps(in: found.totals, samples: [0, 1, 2, 3]).isEmpty)
        }

        @Test func foldedSamplesAreToldApartOneByOne() throws {
            // The same function twice; in the second model two rows of the branch belong to each sample.
            let plain = try evaluator(
                [
                    NodeProto("Relu", inputs: ["x"], outputs: ["r"]),
                    NodeProto("Add", inputs: ["r", "x"], outputs: ["t"]),
                ], edges: [Edge(node: 1, slot: 0), Edge(node: 1, slot: 1)])
            let folded = try evaluator(
                [
                    NodeProto("Reshape", inputs: ["x", "narrow"], outputs: ["f"]),
                    NodeProto("Relu", inputs: ["f"], outputs: ["r"]),
                    NodeProto("Add", inputs: ["r", "f"], outputs: ["s"]),
                    NodeProto("Reshape", inputs: ["s", "wide"], outputs: ["t"]),
                ], edges: [Edge(node: 2, slot: 0), Edge(node: 2, slot: 1)])
            #expect(folded.edgeAxes == [nil, nil])
            let expected = try plain.gradients(samples: [0, 1, 2, 3], weights: [1, 2, 3, 4])
            let once = try folded.gradients(samples: [0, 1, 2, 3], weights: [1, 2, 3, 4])
            #expect(once.perSample == nil)
            let found = try folded.gradients(samples: [0, 1, 2, 3], weights: [1, 2, 3, 4], perSample: true)
            for edge in 0..<2 {
                let columns = (try #require(found.perSample?[edge]), try #require(expected.perSample?[edge]))
                #expect(distance(columns.0, columns.1) < 1e-6)
            }
            let totals = expected.totals.map { $0 ?? .nan }
            #expect(distance(once.totals.map { $0 ?? .nan }, totals) < 1e-6)
            #expect(distance(found.totals.map { $0 ?? .nan }, totals) < 1e-6)
        }

        @Test func gateGradientsSumWeightsTimesWeightGradients() throws {
            // The edge into a layer that is linear in its weights: gᵀΔw with Δw = −w, by central differences along w.
            let edge = Edge(node: 1, slot: 0)
            let nodes = [NodeProto("Tanh", inputs: ["x"], outputs: ["t"])]
            func loss(_ factor: Float) throws -> Double {
                let block = try evaluator(nodes, edges: [edge], weights: weights.map { $0 * factor }).block(
                    [0, 1, 2, 3], axes: [nil])
                return try block.losses.elements(as: Double.self).reduce(0, +)
            }
            let gradient = try evaluator(nodes, edges: [edge]).gradients(
                samples: [0, 1, 2, 3], weights: ones
            )
            .totals[0]
            // Richardson's extrapolation of two central differences.
            let (wide, narrow) = ((try loss(1.2) - loss(0.8)) / 0.4, (try loss(1.1) - loss(0.9)) / 0.2)
            #expect(distance([gradient ?? .nan], [(4 * narrow - wide) / 3]) < 1e-4)
        }
    }
}
