import ComputationGraph
import Datasets
import Testing
import Torch

@testable import Engine

/// How many layers a fixture has that end a group which is computed as one, by the onnx package's count.
struct Together: Sendable, CustomTestStringConvertible {
    let model: String
    /// A MatMul with a weight, and an Add of a bias after it.
    var linear = 0
    /// A Mul with a constant after a product of two activations.
    var scaled = 0
    /// A Transpose that exchanges heads and rows after such a product.
    var transposed = 0
    /// An Erf, with the four layers around it.
    var gelu = 0

    var testDescription: String { model }
    static let all = [
        Together(model: "bert", linear: 18, scaled: 3, transposed: 3, gelu: 3),
        Together(model: "convnext-tiny", linear: 16),
        Together(model: "gpt2", transposed: 3),
        Together(model: "lstm", linear: 1),
        Together(model: "swin", linear: 16, transposed: 4, gelu: 4),
        Together(model: "vit", linear: 12, transposed: 3, gelu: 3),
    ]
}

@Suite("Layers that are fused")
struct FusionTests {
    private func inputs(_ fixture: ModelFixture) throws -> [Tensor] {
        try fixture.graph.inputs.map { try Tensor(fixture.dataset.gather([0, 1, 2], from: $0.name)) }
    }

    /// The values of some tensors under a mask.
    private func values(_ wanted: [Int], _ mask: Mask, _ fixture: ModelFixture) throws -> [[Float]] {
        let inputs = try inputs(fixture)
        let model = try fixture.network.specialisation(for: inputs)
        let schedule = Schedule(model, mask: mask, wanted: wanted)
        var activations = Activations(model, inputs: inputs)
        try activations.compute(schedule) { wanted.contains($0) }
        return try wanted.map { try #require(activations[$0]).elements() }
    }

    /// The vertex after the first MatMul that is followed by such an operator, and whose operands pass the test.
    private func pair(
        _ operation: String, _ fixture: ModelFixture, weighted: Bool
    ) -> (product: Vertex, next: Vertex, slot: Int)? {
        for product in fixture.graph.vertices where product.operation == "MatMul" {
            let isWeighted = fixture.graph.values[product.inputs[1] ?? 0].constant != nil
            guard isWeighted == weighted, let value = product.outputs[0],
                let edge = fixture.graph.consumers[value].first,
                fixture.graph.vertices[edge.node].operation == operation
            else { continue }
            return (product, fixture.graph.vertices[edge.node], edge.slot)
        }
        return nil
    }

    @Test("are one step, and give the numbers that the layers give one by one", arguments: Together.all)
    func together(_ counts: Together) throws {
        let fixture = try ModelFixture(counts.model)
        let inputs = try inputs(fixture)
        let model = try fixture.network.specialisation(for: inputs)
        let output = fixture.graph.outputs[0].value
        let fused = Schedule(model, mask: .empty, wanted: [output])
        let plain = Schedule(model, mask: .empty, wanted: [output], isFused: false)
        #expect(
            plain.steps.count - fused.steps.count
                == counts.linear + counts.scaled + counts.transposed + 4 * counts.gelu)
        let values = try values([output], .empty, fixture)[0]
        // Layer by layer, as for gradients.
        var apart = Activations(model, inputs: inputs)
        try apart.compute([output], recording: Activations.Recording(gates: Gates()))
        let expected: [Float] = try #require(apart[output]).elements()
        let largest = expected.map(abs).max() ?? 0
        for (left, right) in zip(values, expected) { #expect(abs(left - right) <= 1e-5 * largest) }
    }

    /// 0 + b is b, whether the product is cut off or reads zeros.
    @Test("leave the bias of a linear layer when its product is cut off", arguments: ["bert", "swin", "vit"])
    func bias(model: String) throws {
        let fixture = try ModelFixture(model)
        let (product, addition, slot) = try #require(pair("Add", fixture, weighted: true))
        let bias = try #require(fixture.graph.values[addition.inputs[1 - slot] ?? 0].constant)
        let expected: [Float] = try Tensor(bias).elements()
        for edge in [Edge(node: addition.index, slot: slot), Edge(node: product.index, slot: 0)] {
            let values = try values([addition.outputs[0] ?? 0], Mask([edge]), fixture)[0]
            #expect(!values.isEmpty && values.count.isMultiple(of: expected.count))
            for (index, value) in values.enumerated() { #expect(value == expected[index % expected.count]) }
        }
    }

    @Test(
        "are zeros where an edge between, or into, scaled and transposed products is removed",
        arguments: [("bert", "Mul"), ("bert", "Transpose"), ("vit", "Transpose"), ("gpt2", "Transpose")])
    func products(model: String, operation: String) throws {
        let fixture = try ModelFixture(model)
        let (product, next, slot) = try #require(pair(operation, fixture, weighted: false))
        let output = try #require(next.outputs[0])
        #expect(try values([output], .empty, fixture)[0].contains { $0 != 0 })
        for edge in [
            Edge(node: next.index, slot: slot), Edge(node: product.index, slot: 0),
            Edge(node: product.index, slot: 1),
        ] {
            #expect(try values([output], Mask([edge]), fixture)[0].allSatisfy { $0 == 0 })
        }
    }

    /// What lies between the layers is computed when somebody asks for it, and is what the layers after it follow from.
    @Test("give out what lies between them")
    func between() throws {
        let fixture = try ModelFixture("bert")
        let (product, scaled, slot) = try #require(pair("Mul", fixture, weighted: false))
        let model = try fixture.network.specialisation(for: inputs(fixture))
        let factor: [Float] = try #require(model.constants[scaled.inputs[1 - slot] ?? 0]).elements()
        let found = try values([product.outputs[0] ?? 0, scaled.outputs[0] ?? 0], .empty, fixture)
        let largest = found[1].map(abs).max() ?? 0
        for (whole, part) in zip(found[0], found[1]) {
            #expect(abs(whole * factor[0] - part) <= 1e-6 * largest)
        }
    }
}
