import ComputationGraph
import Datasets
import Testing
import Torch

@testable import Engine

@Suite("A batch normalization after a convolution")
struct NormalizationFusionTests {
    /// The only fixture whose exporter left normalizations behind convolutions.
    private let fixture: ModelFixture
    private let inputs: [Tensor]

    init() throws {
        fixture = try ModelFixture("efficientnet-b0")
        inputs = try fixture.graph.inputs.map { [fixture] in
            try Tensor(fixture.dataset.gather([0, 1, 2], from: $0.name))
        }
    }

    /// The output under a mask, and the number of steps that it takes.
    private func output(_ mask: Mask, _ model: Specialisation) throws -> (values: [Float], steps: Int) {
        let output = fixture.graph.outputs[0].value
        let schedule = Schedule(model, mask: mask, wanted: [output])
        var activations = Activations(model, inputs: inputs)
        try activations.compute(schedule) { $0 == output }
        return (try #require(activations[output]).elements(), schedule.steps.count)
    }

    private func expectAlike(_ mask: Mask, savedSteps: Int? = nil) throws {
        let fused = try output(mask, fixture.network.specialisation(for: inputs))
        let weights = try fixture.graph.values.map { try $0.constant.map { try Tensor($0) } }
        let apart = try output(mask, Specialisation(graph: fixture.graph, weights: weights, inputs: inputs))
        if let savedSteps { #expect(apart.steps - fused.steps == savedSteps) }
        let largest = apart.values.map(abs).max() ?? 0
        for (left, right) in zip(fused.values, apart.values) { #expect(abs(left - right) <= 5e-6 * largest) }
    }

    /// 31 of its normalizations follow a convolution that nothing else reads, by the onnx package's count.
    @Test("is computed together with it, and gives the same numbers")
    func together() throws { try expectAlike(.empty, savedSteps: 31) }

    @Test("is computed by itself where the edge between the two is removed")
    func separated() throws {
        let vertices = fixture.graph.vertices.filter { $0.operation == "BatchNormalization" }
        let normalization = try #require(vertices.dropFirst(vertices.count / 2).first)
        try expectAlike(Mask([Edge(node: normalization.index, slot: 0)]))
    }
}
