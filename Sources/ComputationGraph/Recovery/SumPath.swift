internal import ONNX

/// How the output of a layer enters a sum: the way along which nothing else reads it.
///
/// A residual branch ends in a sum. What the branch's last layer should give is then not what it gave before, but what makes
/// the sum whole again.
public struct SumPath: Sendable, Hashable {
    /// A vertex on the way.
    public enum Step: Sendable, Hashable {
        /// A sum that the way enters in `slot`.
        case addend(vertex: Int, slot: Int)
        /// What can be undone, channel by channel; the way enters in `slot`.
        case affine(vertex: Int, slot: Int)

        /// The vertex.
        public var vertex: Int {
            switch self {
            case .addend(let vertex, _), .affine(let vertex, _): vertex
            }
        }
    }

    /// From the layer to the last sum; empty where there is none.
    public let steps: [Step]

    /// Follows a value for as long as one vertex alone reads it.
    ///
    /// - Parameters:
    ///   - axis: the place of its channels, counted from the last axis.
    ///   - isAlike: whether a value has the shape of the first one, so that nothing was repeated on the way.
    public init(
        from value: Int, channelAxisFromEnd axis: Int, rank: Int, in graph: Graph, isAlike: (Int) -> Bool
    ) {
        var steps: [Step] = []
        var whole = 0
        var current = value
        while graph.consumers[current].count == 1, !graph.isPinned[current] {
            let edge = graph.consumers[current][0]
            let vertex = graph.vertices[edge.node]
            guard let affine = vertex.facts.affine, let output = vertex.outputs[0], isAlike(output) else {
                break
            }
            let others = vertex.inputs.indices.filter { $0 != edge.slot && vertex.inputs[$0] != nil }
            let readsData = others.contains { graph.values[vertex.inputs[$0] ?? 0].dependsOnData }
            if affine == .sum, readsData {
                steps.append(.addend(vertex: vertex.index, slot: edge.slot))
                whole = steps.count
            } else {
                guard !readsData, graph.isUndone(vertex, affine, slot: edge.slot, axis: axis, rank: rank)
                else { break }
                steps.append(.affine(vertex: vertex.index, slot: edge.slot))
            }
            current = output
        }
        self.steps = Array(steps.prefix(whole))
    }
}

extension Graph {
    /// Whether a vertex with constant operands can be undone channel by channel.
    fileprivate func isUndone(_ vertex: Vertex, _ affine: AffineForm, slot: Int, axis: Int, rank: Int)
        -> Bool
    {
        switch affine {
        case .identity: return slot == 0 && vertex.outputs.dropFirst().allSatisfy { $0 == nil }
        case .batchNormalisation:
            return slot == 0 && axis == rank - 2 && !vertex.facts.isTraining(self, vertex)
        case .quotient, .difference: guard slot == 0 else { return false }
        case .sum, .product: break
        }
        return vertex.inputs.indices.allSatisfy { other in
            guard other != slot, let value = vertex.inputs[other] else { return true }
            let shape = (try? constantData(value))??.shape
            return shape.map { LinearMap.isPerChannel($0, axisFromEnd: axis) } ?? false
        }
    }
}
