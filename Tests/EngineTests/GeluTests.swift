import ComputationGraph
import Datasets
import ONNX
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

    /// x/2 · (1 + tanh(√(2/π)(x + 0.044715 x³))), as GPT-2 is exported.
    private func approximation(rows: Int) throws -> (model: Specialisation, x: Tensor) {
        let graph = try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: [nil, 1024])],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, 1024])],
            initializers: [
                TensorProto("half", scalar: 0.5), TensorProto("three", scalar: 3),
                TensorProto("one", scalar: 1),
                TensorProto("c", scalar: 0.044715), TensorProto("root", scalar: 0.7978846),
            ],
            nodes: [
                NodeProto("Relu", inputs: ["x"], outputs: ["r"]),
                NodeProto("Mul", inputs: ["r", "half"], outputs: ["h"]),
                NodeProto("Pow", inputs: ["r", "three"], outputs: ["p"]),
                NodeProto("Mul", inputs: ["p", "c"], outputs: ["q"]),
                NodeProto("Add", inputs: ["r", "q"], outputs: ["s"]),
                NodeProto("Mul", inputs: ["s", "root"], outputs: ["t"]),
                NodeProto("Tanh", inputs: ["t"], outputs: ["u"]),
                NodeProto("Add", inputs: ["u", "one"], outputs: ["v"]),
                NodeProto("Mul", inputs: ["h", "v"], outputs: ["y"]),
            ])
        let x = try Tensor((0..<rows * 1024).map { Float($0 % 977) / 200 - 1 }, shape: [rows, 1024])
        return (try Network(graph).specialisation(for: [x]), x)
    }

    @Test("by its approximation is one step where it is large, and gives the same numbers")
    func approximated() throws {
        let (model, x) = try approximation(rows: 256)
        let output = model.graph.outputs[0].value
        func values(_ mask: Mask) throws -> (values: [Float], steps: Int) {
            let schedule = Schedule(model, mask: mask, wanted: [output])
            var activations = Activations(model, inputs: [x])
            try activations.compute(schedule) { $0 == output }
            return (try #require(activations[output]).elements(), schedule.steps.count)
        }
        var apart = Activations(model, inputs: [x])
        try apart.compute([output], recording: Activations.Recording(gates: Gates()))
        let expected: [Float] = try #require(apart[output]).elements()
        let found = try values(.empty)
        #expect(found.steps == 2)
        for (left, right) in zip(found.values, expected) { #expect(abs(left - right) <= 2e-6) }
        // Without the tanh x/2 is left.
        let halves = try values(Mask([Edge(node: 7, slot: 0)]))
        #expect(halves.steps > 2)
        let numbers: [Float] = try x.elements()
        for (left, right) in zip(halves.values, numbers) { #expect(left == max(right, 0) / 2) }
        #expect(try approximation(rows: 255).model.steps.allSatisfy { $0.fused == nil })
    }
}
