import ComputationGraph
import Datasets
import Foundation
import ONNX
import Testing
import Torch

@testable import Engine

@Suite("What a removed slot reads instead")
struct ReplacementTests {
    /// y = relu(x) · 2 + x
    private func smallNetwork() throws -> Network {
        try Network(
            smallModel(
                inputs: [ValueInfoProto(name: "x", .float32, shape: [nil, 3])],
                outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, 3])],
                initializers: [TensorProto("two", scalar: 2)],
                nodes: [
                    NodeProto("Relu", inputs: ["x"], outputs: ["r"]),
                    NodeProto("Mul", inputs: ["r", "two"], outputs: ["m"]),
                    NodeProto("Add", inputs: ["m", "x"], outputs: ["y"]),
                ]))
    }

    private func output(_ units: [String], _ means: [Int: NumpyArray] = [:]) throws -> [Float] {
        let mask = Mask(units.compactMap { Unit($0) })
        #expect(mask.count == units.count)
        let x = try NumpyArray(shape: [2, 3], values: [1, -2, 3, -4, 5, -6] as [Float])
        return try smallNetwork().run(["x": x], mask: mask, means: means)[0].1.floats()
    }

    @Test("is a mean, of the value or of its part of a dimension, or another value")
    func byHand() throws {
        let graph = try smallNetwork().graph
        let (m, x) = (
            try #require(graph.vertices[1].outputs[0]), try #require(graph.vertices[0].inputs[0])
        )
        let means = try [
            m: NumpyArray(shape: [1, 3], values: [10, 20, 30] as [Float]),
            x: NumpyArray(shape: [1, 3], values: [100, 200, 300] as [Float]),
        ]
        #expect(try output([]) == [3, -2, 9, -4, 15, -6])
        #expect(try output(["2:0=mean"], means) == [11, 18, 33, 6, 25, 24])
        #expect(try output(["2:1=mean"], means) == [102, 200, 306, 100, 210, 300])
        #expect(try output(["2:0", "2:1=mean"], means) == [100, 200, 300, 100, 200, 300])
        // The layer's readers read its input.
        #expect(try output(["layer@1:0=bypass"]) == [2, -2, 6, -4, 10, -6])
        #expect(try output(["layer@0:0=bypass"]) == [3, -6, 9, -12, 15, -18])
        #expect(try output(["layer@0:0=bypass", "layer@1:0=bypass"]) == [2, -4, 6, -8, 10, -12])
        #expect(try output(["layer@1:0"]) == [1, -2, 3, -4, 5, -6])
        // Samples that share a dimension come one after the other.
        let whole = try [m: NumpyArray(shape: [2, 3], values: [1, 2, 3, 4, 5, 6] as [Float])]
        #expect(try output(["2:0=mean"], whole) == [2, 0, 6, 0, 10, 0])
    }

    @Test("says which mean is missing, or does not fit")
    func missing() throws {
        let m = try #require(smallNetwork().graph.vertices[1].outputs[0])
        for (means, sentence) in [
            ([:], "the mean of the value 'm' is not known"),
            (
                [m: try NumpyArray(shape: [2], values: [1, 2] as [Float])],
                "the mean of the value 'm' has the shape [2], which does not fit [2, 3]"
            ),
        ] {
            do {
                _ = try output(["2:0=mean"], means)
                Issue.record("no error")
            } catch { #expect("\(error)" == sentence) }
        }
    }

    /// Held to models in which x · 0 + mean, or the layer's input, is written where the value was.
    @Test(
        "gives what a model gives that it is written into",
        arguments: ["resnet18", "densenet", "squeezenet", "unet", "lstm", "efficientnet-b0", "vit"])
    func written(model: String) throws {
        let fixture = try ModelFixture(model)
        let graph = fixture.graph
        let evaluator = try fixture.evaluator()
        var generator = Seeded(8)
        for _ in 0..<6 {
            let edges = fixture.randomMask(3, using: &generator).edges
            var means: [Int: NumpyArray] = [:]
            for edge in edges {
                let value = try #require(graph.value(on: edge))
                var sum = try evaluator.sums(of: [value], state: .empty, samples: [0, 1, 2])[0]
                sum += try evaluator.sums(of: [value], state: .empty, samples: [3, 4])[0]
                #expect(sum.count == 5)
                means[value] = try mean(of: sum)
            }
            let mask = Mask(edges.map { Unit($0, replacement: .mean) })
            let ours = try fixture.network.run(fixture.inputs, mask: mask, means: means)
            let other = try Network(Graph(writing(edges, means, into: graph)))
            try expectClose(ours, other.run(fixture.inputs), "\(model) \(mask)")
        }
        for vertex in bypassable(graph).shuffled(using: &generator).prefix(6) {
            let unit = Unit.layer(at: vertex, replacement: .bypass)
            let ours = try fixture.network.run(fixture.inputs, mask: Mask([unit]))
            let other = try Network(Graph(bypassing(vertex, in: graph)))
            try expectClose(ours, other.run(fixture.inputs), "\(model) \(unit)")
        }
    }

    @Test(
        "gives the bits of a full pass when it is computed as an expansion, in either order",
        arguments: ["resnet18", "vit", "gpt2"])
    func prefixes(model: String) throws {
        let fixture = try ModelFixture(model)
        let graph = fixture.graph
        let evaluator = try fixture.evaluator()
        var generator = Seeded(14)
        let edges = fixture.candidates.representatives.shuffled(using: &generator).prefix(4)
        let values = edges.compactMap { graph.value(on: $0) }
        try evaluator.use(
            means: Dictionary(
                zip(
                    values,
                    evaluator.sums(of: values, state: .empty, samples: [0, 1, 2, 3]).map(mean(of:)))
            ) { first, _ in first })
        let units =
            edges.map { Unit($0, replacement: .mean) }
            + bypassable(graph).shuffled(using: &generator).prefix(3).map {
                Unit.layer(at: $0, replacement: .bypass)
            }
        for first in units {
            let state = Mask([first])
            let others = units.filter { $0 != first }
            let together = try evaluator.evaluate(
                state: state, samples: [5, 0, 3], expansions: others, reuseHints: [0, 1], stage: 1)
            for (unit, scores) in zip(others, together) {
                let whole = try evaluator.evaluate(
                    state: state.removing(unit), samples: [5, 0, 3], expansions: [nil], reuseHints: [],
                    stage: 7)
                #expect(Bits(scores) == Bits(whole[0]), "\(first) \(unit)")
            }
        }
    }

    @Test("is summed over samples in double precision, block by block")
    func sums() throws {
        let fixture = try ModelFixture("resnet18")
        let evaluator = try fixture.evaluator()
        let port = fixture.graph.inputs[0]
        var sum = try evaluator.sums(of: [port.value], state: .empty, samples: [1, 4])[0]
        sum += try evaluator.sums(of: [port.value], state: .empty, samples: [2])[0]
        let array = try #require(fixture.dataset.arrays[port.name])
        let (all, row) = (try array.floats(), array.rowElementCount)
        #expect(sum.shape == [1] + array.shape.dropFirst() && sum.count == 3)
        for place in 0..<row {
            let expected = [1, 4, 2].reduce(0.0) { $0 + Double(all[$1 * row + place]) }
            #expect(abs(sum.sums[place] - expected) <= 1e-14 * max(1, abs(expected)))
        }
    }

    private func mean(of sum: ValueSum) throws -> NumpyArray {
        try NumpyArray(shape: sum.shape, values: sum.sums.map { Float($0 / Double(sum.count)) })
    }

    // MARK: Written models

    /// The edges into layers of one output that have its shape, and that a bypass may lead around.
    private func bypassable(_ graph: Graph) -> [Edge] {
        graph.vertices.filter { ["Relu", "LayerNormalization", "Sigmoid", "Erf"].contains($0.operation) }
            .filter { vertex in
                guard let output = vertex.outputs[0] else { return false }
                return !graph.outputs.contains { $0.value == output }
            }.map { Edge(node: $0.index, slot: 0) }
    }

    private func bypassing(_ edge: Edge, in graph: Graph) -> ModelFile {
        var proto = graph.model.model
        let (input, output) = (proto.graph.node[edge.node].input[0], proto.graph.node[edge.node].output[0])
        for node in proto.graph.node.indices {
            for slot in proto.graph.node[node].input.indices
            where proto.graph.node[node].input[slot] == output {
                proto.graph.node[node].input[slot] = input
            }
        }
        return ModelFile(unchecked: proto)
    }

    private func writing(_ edges: [Edge], _ means: [Int: NumpyArray], into graph: Graph) throws -> ModelFile {
        var proto = graph.model.model
        proto.graph.initializer.append(TensorProto("zero of the test", scalar: 0))
        var nodes: [NodeProto] = []
        for (index, original) in proto.graph.node.enumerated() {
            var node = original
            for edge in edges where edge.node == index {
                let mean = try #require(graph.value(on: edge).flatMap { means[$0] })
                let name = "mean \(edge)"
                proto.graph.initializer.append(
                    TensorProto(name: name, try TensorData(floats: mean.floats(), shape: mean.shape)))
                nodes.append(
                    NodeProto(
                        "Mul", inputs: [node.input[edge.slot], "zero of the test"], outputs: [name + " zero"])
                )
                nodes.append(NodeProto("Add", inputs: [name + " zero", name], outputs: [name + " read"]))
                node.input[edge.slot] = name + " read"
            }
            nodes.append(node)
        }
        proto.graph.node = nodes
        return ModelFile(unchecked: proto)
    }

    private func expectClose(
        _ ours: [(String, NumpyArray)], _ others: [(String, NumpyArray)], _ what: String
    ) throws {
        for ((_, left), (_, right)) in zip(ours, others) {
            let (values, expected) = (try left.floats(), try right.floats())
            let scale = expected.reduce(Float(1e-6)) { max($0, $1.isFinite ? abs($1) : 0) }
            let worst = zip(values, expected).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
            #expect(values.count == expected.count && worst <= 1e-5 * scale, "\(what): \(worst) of \(scale)")
        }
    }
}
