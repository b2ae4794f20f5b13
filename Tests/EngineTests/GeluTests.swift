import ComputationGraph
import Datasets
import Testing
import Torch

@testable import Engine

@Suite("A GELU that was exported as five layers")
struct GeluTests {
    private func inputs(_ fixture: ModelFixture) throws -> [Tensor] {
        try fixture.graph.inputs.map { try Tensor(fixture.dataset.gather([0, 1, 2], from: $0.name)) }
    }

    /// The numbers of Erf nodes are the onnx package's count.
    @Test("is one step, and gives the same numbers", arguments: [("bert", 3), ("swin", 4), ("vit", 3)])
    func together(model: String, count: Int) throws {
        let fixture = try ModelFixture(model)
        let inputs = try inputs(fixture)
        let model = try fixture.network.specialisation(for: inputs)
        let output = fixture.graph.outputs[0].value
        let fused = Schedule(model, mask: .empty, wanted: [output])
        let plain = Schedule(model, mask: .empty, wanted: [output], isFused: false)
        func errorFunctions(_ schedule: Schedule) -> Int {
            schedule.steps.count { fixture.graph.vertices[model.steps[$0].vertex].operation == "Erf" }
        }
        #expect(errorFunctions(plain) == count)
        #expect(errorFunctions(fused) == 0)
        var activations = Activations(model, inputs: inputs)
        try activations.compute(fused) { $0 == output }
        let values: [Float] = try #require(activations[output]).elements()
        // Layer by layer, as for gradients.
        var apart = Activations(model, inputs: inputs)
        try apart.compute([output], recording: Activations.Recording(gates: Gates()))
        let expected: [Float] = try #require(apart[output]).elements()
        let largest = expected.map(abs).max() ?? 0
        for (left, right) in zip(values, expected) { #expect(abs(left - right) <= 5e-6 * largest) }
    }

    /// gelu(x) = x/2 · (1 + erf(x/√2)) without its erf is x/2, and without the factor x it is 0.
    @Test("is computed layer by layer where an edge inside it is removed")
    func apart() throws {
        let fixture = try ModelFixture("vit")
        let inputs = try inputs(fixture)
        let model = try fixture.network.specialisation(for: inputs)
        let erf = try #require(fixture.graph.vertices.first { $0.operation == "Erf" })
        let quotient = try #require(fixture.graph.values[erf.inputs[0] ?? 0].producer)
        let x = try #require(fixture.graph.vertices[quotient].inputs[0])
        let product = try #require(fixture.graph.consumers[x].map(\.node).first { $0 != quotient })
        let factor = try #require(fixture.graph.vertices[product].inputs.firstIndex(of: x))
        let last = try #require(
            fixture.graph.consumers[fixture.graph.vertices[product].outputs[0] ?? 0].first)
        let output = try #require(fixture.graph.vertices[last.node].outputs[0])
        func values(_ edge: Edge) throws -> (gelu: [Float], x: [Float]) {
            let schedule = Schedule(model, mask: Mask([edge]), wanted: [output, x])
            var activations = Activations(model, inputs: inputs)
            try activations.compute(schedule) { $0 == output || $0 == x }
            return (try #require(activations[output]).elements(), try #require(activations[x]).elements())
        }
        let halves = try values(Edge(node: erf.index, slot: 0))
        for (left, right) in zip(halves.gelu, halves.x) { #expect(left == right / 2) }
        #expect(halves.x.contains { $0 != 0 })
        #expect(try values(Edge(node: product, slot: factor)).gelu.allSatisfy { $0 == 0 })
    }
}
