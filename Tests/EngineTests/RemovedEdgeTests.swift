import ComputationGraph
import Datasets
import Foundation
import ONNX
import Testing

@testable import Engine

@Suite("A removed edge")
struct RemovedEdgeTests {
    /// ONNX Runtime's outputs, written by Scripts/models/make-models.py.
    @Test("aside, the reference models give ONNX Runtime's outputs", arguments: ModelFixture.names)
    func wholeModels(model: String) throws {
        let fixture = try ModelFixture(model)
        let expected = try NumpyArchive(
            contentsOf: ModelFixture.folder.appending(path: "models/\(model).expected.npz").path)
        for (name, output) in try fixture.network.run(fixture.inputs) {
            expectClose(
                try output.floats(), try expected.array(named: name).floats(), relative: 2e-4,
                "\(model) \(name)")
        }
    }

    @Test(
        "reads as zeros: the outputs are those of a model with zeros written into it",
        arguments: ModelFixture.names)
    func readsZeros(model: String) throws {
        let fixture = try ModelFixture(model)
        var generator = Seeded(5)
        var masks = fixture.candidates.all.shuffled(using: &generator).prefix(12).map { Mask([$0]) }
        for _ in 0..<6 { masks.append(fixture.randomMask(3, using: &generator)) }
        // Every member of some classes: the zeros really go all the way through.
        for (edge, others) in fixture.candidates.equivalents.sorted(by: { $0.key < $1.key })
            .shuffled(using: &generator).prefix(5)
        {
            masks += ([edge] + others).map { Mask([$0]) }
        }
        for mask in masks {
            let ours = try fixture.network.run(fixture.inputs, mask: mask)
            let written = try Network(Graph(masked(fixture.graph.model, mask, by: .zeros)))
            for ((name, output), (_, expected)) in zip(ours, try written.run(fixture.inputs)) {
                expectClose(
                    try output.floats(), try expected.floats(), relative: 1e-5, "\(model) \(mask) \(name)")
            }
        }
    }

    /// Only where no value is infinite: zero times infinity is no number.
    @Test(
        "reads as its value times zero",
        arguments: ["resnet18", "densenet", "squeezenet", "unet", "lstm", "efficientnet-b0"])
    func multipliesByZero(model: String) throws {
        let fixture = try ModelFixture(model)
        var generator = Seeded(6)
        for _ in 0..<10 {
            let mask = fixture.randomMask(Int.random(in: 1...4, using: &generator), using: &generator)
            let ours = try fixture.network.run(fixture.inputs, mask: mask)
            let written = try Network(Graph(masked(fixture.graph.model, mask, by: .multiplication)))
            for ((name, output), (_, expected)) in zip(ours, try written.run(fixture.inputs)) {
                expectClose(
                    try output.floats(), try expected.floats(), relative: 1e-5, "\(model) \(mask) \(name)")
            }
        }
    }

    private enum Zeroing { case zeros, multiplication }

    /// The model with nodes that make the removed slots' values zero, each for its own slot alone.
    private func masked(_ file: ModelFile, _ mask: Mask, by zeroing: Zeroing) -> ModelFile {
        var proto = file.model
        proto.graph.initializer.append(TensorProto("zero of the test", scalar: 0))
        var nodes: [NodeProto] = []
        for (index, original) in proto.graph.node.enumerated() {
            var node = original
            for edge in mask.edges where edge.node == index {
                let name = "removed \(edge)"
                switch zeroing {
                case .zeros:
                    nodes.append(
                        NodeProto("Shape", inputs: [node.input[edge.slot]], outputs: [name + " shape"]))
                    nodes.append(NodeProto("ConstantOfShape", inputs: [name + " shape"], outputs: [name]))
                case .multiplication:
                    nodes.append(
                        NodeProto(
                            "Mul", inputs: [node.input[edge.slot], "zero of the test"], outputs: [name]))
                }
                node.input[edge.slot] = name
            }
            nodes.append(node)
        }
        proto.graph.node = nodes
        return ModelFile(unchecked: proto)
    }

    private func expectClose(_ values: [Float], _ expected: [Float], relative: Float, _ what: String) {
        #expect(values.count == expected.count)
        let scale = expected.reduce(Float(1e-6)) { max($0, $1.isFinite ? abs($1) : 0) }
        let worst = zip(values, expected).reduce(Float(0)) { worst, pair in
            pair.0 == pair.1 || (pair.0.isNaN && pair.1.isNaN) ? worst : max(worst, abs(pair.0 - pair.1))
        }
        #expect(worst <= relative * scale, "\(what): off by \(worst), values up to \(scale)")
    }
}
