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
        let plan = try fixture.network.plan(for: inputs)
        let output = fixture.graph.outputs[0].value
        let folded = Schedule(plan: plan, mask: .empty, wanted: [output])
        let plain = Schedule(plan: plan, mask: .empty, wanted: [output], isFolded: false)
        func errorFunctions(_ schedule: Schedule) -> Int {
            schedule.steps.count { fixture.graph.vertices[plan.steps[$0].vertex].operation == "Erf" }
        }
        #expect(errorFunctions(plain) == count)
        #expect(errorFunctions(folded) == 0)
        var pass = Pass(plan: plan, inputs: inputs)
        try pass.compute(folded.steps, cuts: folded.cuts) { $0 == output }
        let values: [Float] = try #require(pass[output]).elements()
        // Layer by layer, as for gradients.
        var apart = try GatedPass(
            plan: plan, inputs: inputs, gates: Gates(on: [], axes: [], samples: 3))
        try apart.compute([output])
        let expected: [Float] = try #require(apart[output]).elements()
        let largest = expected.map(abs).max() ?? 0
        for (left, right) in zip(values, expected) { #expect(abs(left - right) <= 5e-6 * largest) }
    }

    /// gelu(x) = x/2 · (1 + erf(x/√2)) without its erf is x/2, and without the factor x it is 0.
    @Test("is computed layer by layer where an edge inside it is removed")
    func apart() throws {
        let fixture = try ModelFixture("vit")
        let inputs = try inputs(fixture)
        let plan = try fixture.network.plan(for: inputs)
        let erf = try #require(fixture.graph.vertices.first { $0.operation == "Erf" })
        let quotient = try #require(fixture.graph.values[erf.inputs[0] ?? 0].producer)
        let x = try #require(fixture.graph.vertices[quotient].inputs[0])
        let product = try #require(fixture.graph.consumers[x].map(\.node).first { $0 != quotient })
        let factor = try #require(fixture.graph.vertices[product].inputs.firstIndex(of: x))
        let last = try #require(
            fixture.graph.consumers[fixture.graph.vertices[product].outputs[0] ?? 0].first)
        let output = try #require(fixture.graph.vertices[last.node].outputs[0])
        func values(_ edge: Edge) throws -> (gelu: [Float], x: [Float]) {
            let schedule = Schedule(plan: plan, mask: Mask([edge]), wanted: [output, x])
            var pass = Pass(plan: plan, inputs: inputs)
            try pass.compute(schedule.steps, cuts: schedule.cuts) { $0 == output || $0 == x }
            return (try #require(pass[output]).elements(), try #require(pass[x]).elements())
        }
        let halves = try values(Edge(node: erf.index, slot: 0))
        for (left, right) in zip(halves.gelu, halves.x) { #expect(left == right / 2) }
        #expect(halves.x.contains { $0 != 0 })
        #expect(try values(Edge(node: product, slot: factor)).gelu.allSatisfy { $0 == 0 })
    }
}
