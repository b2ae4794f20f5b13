internal import ONNX

/// A normalisation with a scale and a shift of its own along one axis: what a fit can refit channel by channel.
public struct NormalisationLayer: Sendable, Hashable {
    /// The vertex.
    public let vertex: Int
    /// What it normalises.
    public let input: Int
    /// The value of the scale: an initialiser that nothing else reads.
    public let scale: Int
    /// The value of the shift: another one.
    public let shift: Int
    /// What it gives.
    public let output: Int
    /// Whether the channels lie along axis 1; otherwise along the last one.
    public let isAlongChannels: Bool

    /// Those of a graph, by vertex.
    public static func all(of graph: Graph) -> [Int: NormalisationLayer] {
        var all: [Int: NormalisationLayer] = [:]
        for vertex in graph.vertices {
            guard let form = vertex.facts.normalisation, vertex.inputs.count >= 3,
                let input = vertex.inputs[0], let scale = vertex.inputs[1], let shift = vertex.inputs[2],
                let output = vertex.outputs[0], vertex.outputs.dropFirst().allSatisfy({ $0 == nil }),
                !vertex.facts.isTraining(graph, vertex),
                [scale, shift].allSatisfy({
                    graph.values[$0].constant?.shape.count == 1 && graph.consumers[$0].count == 1
                        && !graph.isPinned[$0]
                })
            else { continue }
            if form == .lastAxes, (try? vertex.node.int("axis", default: -1)) != -1 { continue }
            all[vertex.index] = NormalisationLayer(
                vertex: vertex.index, input: input, scale: scale, shift: shift, output: output,
                isAlongChannels: form == .channels)
        }
        return all
    }
}

extension Graph {
    /// The vertex that computes a value, where it is a sum of values that depend on data.
    public func sum(computing value: Int) -> Vertex? {
        guard let producer = values[value].producer, vertices[producer].facts.affine == .sum else {
            return nil
        }
        let vertex = vertices[producer]
        let addends = vertex.inputs.compactMap { $0 }.filter { values[$0].dependsOnData }
        return addends.count > 1 ? vertex : nil
    }
}
