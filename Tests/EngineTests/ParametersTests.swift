import ComputationGraph
import Datasets
import ONNX
import Testing
import Torch

@testable import Engine

@Suite("Parameters")
struct ParametersTests {
    /// Some parameters of a model with other numbers: as a table, and as a file.
    private func changed(_ fixture: ModelFixture) throws -> (table: [Int: Tensor], file: ModelFile) {
        var proto = fixture.graph.model.model
        var table: [Int: Tensor] = [:]
        let values = fixture.graph.parameters
        for (index, initializer) in proto.graph.initializer.enumerated() where index.isMultiple(of: 3) {
            guard let value = fixture.graph.values.firstIndex(where: { $0.name == initializer.name }),
                values.contains(value), let data = fixture.graph.values[value].constant,
                data.elementType == .float32
            else { continue }
            let numbers = try data.floats.enumerated().map { $1 * (1 + Float($0 % 5) / 16) }
            table[value] = try Tensor(numbers, shape: data.shape)
            proto.graph.initializer[index] = TensorProto(
                name: initializer.name, try TensorData(floats: numbers, shape: data.shape))
        }
        return (table, ModelFile(unchecked: proto))
    }

    @Test(
        "of another version give the bits of a model with these numbers, and leave the model's own as they are",
        arguments: ModelFixture.names)
    func versions(model: String) throws {
        let fixture = try ModelFixture(model)
        let (table, file) = try changed(fixture)
        #expect(!table.isEmpty)
        let other = try Network(Graph(file))
        let version = try fixture.network.parameters.replacing(table, version: "other")
        let loss = try LossDescription(.natural(for: fixture.dataset), of: fixture.graph)
        let edges = fixture.candidates.representatives.map { Unit($0) }
        let expansions: [Unit?] = [nil] + edges.suffix(6)
        func bits(_ network: Network, _ parameters: Parameters? = nil) throws -> [Bits] {
            try Evaluator(network, dataset: fixture.dataset, loss: loss, parameters: parameters).evaluate(
                state: .empty, samples: [2, 0, 5], expansions: expansions, reuseHints: [], stage: 0
            ).map(Bits.init)
        }
        let own = try bits(fixture.network)
        let expected = try bits(other)
        #expect(own != expected)
        #expect(try bits(fixture.network, version) == expected)
        #expect(try bits(fixture.network) == own)
    }

    @Test("that do not fit are refused in a sentence")
    func refusals() throws {
        let fixture = try ModelFixture("resnet18")
        let value = try #require(fixture.graph.parameters.min())
        let parameters = fixture.network.parameters
        #expect(throws: EngineError.self) {
            try parameters.replacing([value: Tensor([1] as [Float])], version: "x")
        }
        #expect(throws: EngineError.self) {
            try parameters.replacing([fixture.graph.inputs[0].value: Tensor([1] as [Float])], version: "x")
        }
    }

    /// The scales of a Resize decide shapes: another version of them would be another program.
    @Test("are the floating-point initialisers that decide no shape")
    func whatTheyAre() throws {
        let graph = try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: [nil, 2, 4, 4])],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, 2, nil, nil])],
            initializers: [
                TensorProto(name: "scales", try TensorData(floats: [1, 1, 2, 2], shape: [4])),
                TensorProto("factor", scalar: 3), TensorProto("axes", int64s: [0]),
            ],
            nodes: [
                NodeProto("Mul", inputs: ["x", "factor"], outputs: ["m"]),
                NodeProto("Resize", inputs: ["m", "", "scales"], outputs: ["y"]),
            ])
        #expect(graph.parameters.map { graph.values[$0].name } == ["factor"])
    }

    /// The gradient with respect to every parameter, also through layers that follow from parameters alone, is that of
    /// differences in double precision.
    @Test("have gradients under any mask", arguments: ["vit", "resnet18", "efficientnet-b0"])
    func gradients(model: String) throws {
        let fixture = try ModelFixture(model)
        let graph = fixture.graph
        var generator = Seeded(4)
        let mask = fixture.randomMask(2, using: &generator)
        let inputs = try graph.inputs.map { port in
            let tensor = try Tensor(fixture.dataset.gather([0, 1], from: port.name))
            return tensor.scalarType.isFloatingPoint ? try tensor.converted(to: .float64) : tensor
        }
        let weights = try graph.values.map { value in
            try value.constant.map { constant in
                let tensor = try Tensor(constant)
                return tensor.scalarType.isFloatingPoint ? try tensor.converted(to: .float64) : tensor
            }
        }
        let output = graph.outputs[0].value
        func total(_ weights: [Tensor?], records: Bool) throws -> Tensor {
            let values = graph.parameters
            let program = try Program(graph: graph, weights: weights, parameters: values, inputs: inputs)
            let model = try Specialisation(
                program, Parameters(weights.indices.map { values.contains($0) ? weights[$0] : nil }),
                fuses: false, recordsParameters: records)
            var activations = Activations(model, inputs: inputs)
            try activations.compute(
                [output], mask: mask, recording: Activations.Recording(gates: Gates()))
            let result = try #require(activations[output])
            return try (result * result).summed(over: Array(0..<result.rank))
        }
        let chosen = graph.parameters.filter { (weights[$0]?.count ?? 0) > 1 }.sorted()
            .shuffled(using: &generator).prefix(5)
        #expect(chosen.count == 5)
        let found = try TorchRuntime.withGradients {
            var leaves = weights
            for value in chosen {
                leaves[value] = try weights[value]?.detached()
                try leaves[value]?.requireGradient()
            }
            return try Tensor.gradients(
                of: [total(leaves, records: true)], withRespectTo: chosen.compactMap { leaves[$0] })
        }
        var compared = 0
        for (value, gradient) in zip(chosen, found) {
            let tensor = try #require(weights[value])
            let numbers = try tensor.elements(as: Double.self)
            let slopes = try gradient?.elements(as: Double.self) ?? numbers.map { _ in 0 }
            // Along the direction of alternating signs.
            let signs = numbers.indices.map { $0.isMultiple(of: 2) ? 1.0 : -1 }
            func moved(_ step: Double) throws -> Double {
                var other = weights
                other[value] = try Tensor(zip(numbers, signs).map { $0 + step * $1 }, shape: tensor.shape)
                return try total(other, records: false).item(as: Double.self)
            }
            let step = 1e-5
            let expected = try (moved(step) - moved(-step)) / (2 * step)
            let slope = zip(slopes, signs).reduce(0) { $0 + $1.0 * $1.1 }
            let scale = slopes.reduce(1e-9) { $0 + abs($1) }
            #expect(abs(slope - expected) <= 1e-4 * scale, "\(graph.values[value].name)")
            if slope != 0 { compared += 1 }
        }
        #expect(compared > 1)
    }
}
