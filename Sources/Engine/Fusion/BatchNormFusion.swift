internal import ComputationGraph
internal import ONNX
internal import Torch

/// A batch normalization taken into the convolution before it: γ(w∗x + b − μ)/√(σ² + ε) + β is a convolution too.
///
/// Exporters mostly do this; models that were not exported for inference come with the two layers apart.
/// Which of the two forms is computed follows from the mask alone (`Cuts.form`), so an expansion's bits do not depend on
/// where its activations come from.
struct BatchNormFusion {
    /// The convolution's vertex.
    let convolution: Int
    /// Its weight with every output channel scaled, and its new bias.
    let weight: Tensor
    let bias: Tensor

    /// Those of a graph, by the normalization's vertex.
    ///
    static func all(in graph: Graph, _ parameters: Parameters) throws -> [Int: BatchNormFusion] {
        var all: [Int: BatchNormFusion] = [:]
        let outputs = Set(graph.outputs.map(\.value))
        let captured = Set(graph.vertices.flatMap(\.captured))
        for vertex in graph.vertices where vertex.operation == "BatchNormalization" {
            guard let input = vertex.inputs.first ?? nil, graph.consumers[input].count == 1,
                !outputs.contains(input), !captured.contains(input),
                let producer = graph.values[input].producer
            else { continue }
            all[vertex.index] = try BatchNormFusion(of: vertex, into: graph.vertices[producer], parameters)
        }
        return all
    }

    private init?(of normalization: Vertex, into convolution: Vertex, _ parameters: Parameters) throws {
        let context = OperatorContext(vertex: normalization, constants: [])
        guard convolution.operation == "Conv", convolution.node.domain.isEmpty,
            normalization.node.domain.isEmpty,
            normalization.version >= 9, try normalization.version < 14 || !context.flag("training_mode"),
            normalization.outputs.count == 1, normalization.inputs.count == 5, convolution.inputs.count >= 2
        else { return nil }
        func constant(_ vertex: Vertex, _ slot: Int) -> Tensor? {
            vertex.inputs.indices.contains(slot) ? vertex.inputs[slot].flatMap { parameters[$0] } : nil
        }
        guard let weight = constant(convolution, 1), let scale = constant(normalization, 1),
            let shift = constant(normalization, 2), let mean = constant(normalization, 3),
            let variance = constant(normalization, 4), weight.scalarType == .float32, weight.rank >= 3,
            [scale, shift, mean, variance].allSatisfy({ $0.shape == [weight.shape[0]] })
        else { return nil }
        let hasBias = convolution.inputs.count > 2 && convolution.inputs[2] != nil
        let offset = constant(convolution, 2) ?? parameters.addedBiases[convolution.index]?.flat
        guard !hasBias || offset?.shape == [weight.shape[0]] else { return nil }
        // In double precision: the fused layer rounds once where the two layers round twice.
        let epsilon = Double(try normalization.node.float("epsilon", default: 1e-5))
        let deviation = try squareRoot(.tensor(variance.converted(to: .float64) + epsilon))
        let factor = try scale.converted(to: .float64) / deviation
        let difference =
            try offset.map { try $0.converted(to: .float64) - mean.converted(to: .float64) }
            ?? mean.converted(to: .float64) * -1
        let scaled = try weight.converted(to: .float64) * factor.alongDimension(0, rank: weight.rank)
        let narrow = try scaled.converted(to: .float32)
        self.convolution = convolution.index
        self.weight = weight.isChannelsLast ? try narrow.channelsLast() : narrow
        bias = try (difference * factor + shift.converted(to: .float64)).converted(to: .float32)
    }

    /// The fused layer.
    ///
    /// - Parameter normalization: the layer after the convolution.
    func form(in normalization: Vertex, _ pattern: Pattern) throws -> Specialisation.Form {
        let vertex = pattern.graph.vertices[convolution]
        guard let builder = Operators.builder(domain: vertex.node.domain, operation: vertex.operation) else {
            throw EngineError.unsupported(
                index: vertex.index, name: vertex.name, operation: vertex.operation)
        }
        let kernel = try builder(OperatorContext(vertex: vertex, constants: [nil, weight, bias]))
        let (weight, bias) = (weight, bias)
        return Specialisation.Form(
            vertex: vertex.index, kernel: { try kernel([$0[0], weight, bias]) }, inputs: [vertex.inputs[0]],
            fusedEdges: [Edge(node: normalization.index, slot: 0)])
    }
}

private let squareRoot = Operation("aten::sqrt")
