internal import ComputationGraph
internal import ONNX
internal import Torch

/// A LayerNormalization over the last dimension with constant scale and bias, by a kernel of this package's own: twice as
/// fast as libtorch's, and not recorded for gradients.
struct RowNormalization {
    /// How the vertex is computed.
    let form: Specialisation.Form

    /// `nil` where the vertex is something else, or gives out mean and deviation as well.
    init?(_ vertex: Vertex, _ pattern: Pattern) throws {
        guard vertex.operation == "LayerNormalization", vertex.node.domain.isEmpty, vertex.inputs.count == 3,
            vertex.outputs.dropFirst().allSatisfy({ $0 == nil }), let x = vertex.inputs[0],
            let shape = pattern.shapes[x], !shape.isEmpty, !pattern.graph.values[x].hasDynamicShape,
            [-1, shape.count - 1].contains(try vertex.node.int("axis", default: -1)),
            let scale = pattern.matrix(vertex.inputs[1], rank: 1),
            let bias = pattern.matrix(vertex.inputs[2], rank: 1),
            [scale, bias].allSatisfy({ $0.shape == shape.suffix(1) })
        else { return nil }
        let epsilon = Double(try vertex.node.float("epsilon", default: 1e-5))
        form = Specialisation.Form(
            vertex: vertex.index,
            kernel: { inputs in
                guard let x = inputs[0] else { return [nil] }
                return [try layerNorm(.tensor(x), .tensor(scale), .tensor(bias), .double(epsilon))]
            }, inputs: [x])
    }
}

private let layerNorm = Operation("espalier::layer_norm")
