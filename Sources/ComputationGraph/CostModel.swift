internal import ONNX

/// Counts parameters and floating-point operations of masks.
public struct CostModel: Sendable {
    private let graph: Graph
    /// Per vertex, operations for one sample.
    private let flops: [Int]
    /// Per vertex, the initialisers that count as parameters, by value.
    private let parameters: [[Int]]
    private let sizes: [Int]

    /// - Parameters:
    ///   - shapes: the shape of every value, for a batch of `samples`.
    public init(graph: Graph, shapes: [[Int]?], samples: Int) {
        self.graph = graph
        flops = graph.vertices.map { vertex in
            FloatingPointOperations(vertex: vertex, shapes: shapes).count / max(samples, 1)
        }
        sizes = graph.values.map { $0.constant?.count ?? 0 }
        parameters = graph.vertices.map { vertex in
            vertex.inputs.enumerated().compactMap { slot, value in
                guard let value, let constant = graph.values[value].constant,
                    constant.elementType.isFloatingPoint, !constant.shape.isEmpty,
                    !(vertex.operation == "BatchNormalization" && slot >= 3)
                else { return nil }
                return value
            }
        }
    }

    /// Operations of one vertex, for one sample.
    public func flops(of vertex: Int) -> Int { flops[vertex] }

    /// Parameters that a vertex reads; those shared with others count at each.
    public func parameters(of vertex: Int) -> Int { parameters[vertex].reduce(0) { $0 + sizes[$1] } }

    /// The cost of the model with the edges of `mask` removed: of the vertices that still compute something that
    /// depends on the data and reaches an output.
    public func cost(of mask: Mask) -> Cost {
        let liveness = Liveness(of: graph, under: mask)
        var total = 0
        var counted: Set<Int> = []
        var elements = 0
        for vertex in graph.vertices where liveness.isLive[vertex.index] {
            guard liveness.dependsOnData[vertex.index] || !dependedOnData(vertex) else { continue }
            total += flops[vertex.index]
            for value in parameters[vertex.index] where counted.insert(value).inserted {
                elements += sizes[value]
            }
        }
        return Cost(parameters: elements, flops: total)
    }

    /// Whether the vertex computes from data in the full model, and so can be folded once it does not.
    private func dependedOnData(_ vertex: Vertex) -> Bool {
        vertex.inputs.contains { $0.map { graph.values[$0].dependsOnData } ?? false }
    }
}
