internal import ONNX
internal import Synchronization

/// The weights that a model computes from stored ones whenever it runs: standardised kernels, tables that are looked up.
///
/// Positions are followed through what computes them, to the stored weights. Where that mixes positions, as the mean of a kernel
/// does, they are cut out of the computed weight, and a file that lacks them stores it.
final class ComputedWeights: Sendable {
    /// Computes one, given its value.
    typealias Rule = @Sendable (Graph, Int) throws -> TensorData

    /// The vertices that compute weights of weights.
    let vertices: Set<Int>
    /// The values that they hand to vertices that compute with data.
    private let weights: Set<Int>
    private let rule: Rule?
    private let isCutOut = Mutex<[ValueAxis: Bool]>([:])

    init(_ graph: Graph, _ rule: Rule?) {
        var isConstant = graph.values.map { $0.constant != nil }
        var vertices: Set<Int> = []
        for index in graph.order {
            let vertex = graph.vertices[index]
            let follows =
                vertex.captured.isEmpty && !vertex.inputs.isEmpty
                && vertex.inputs.allSatisfy { $0.map { isConstant[$0] } ?? true }
            guard follows || vertex.facts.isStored else { continue }
            if follows { vertices.insert(index) }
            for case let output? in vertex.outputs { isConstant[output] = true }
        }
        weights = Set(
            vertices.lazy.compactMap { graph.vertices[$0].outputs.first ?? nil }.filter { value in
                [.float32, .float64, .float16].contains(graph.values[value].elementType)
                    && !graph.isPinned[value]
                    && graph.consumers[value].contains { !vertices.contains($0.node) }
            })
        (self.vertices, self.rule) = (vertices, rule)
    }

    /// Whether positions along an axis are cut out of a computed weight.
    ///
    /// - Parameter isFollowed: whether they can be followed to the stored weights.
    func isCutOut(_ axis: ValueAxis, unless isFollowed: (ValueAxis) -> Bool) -> Bool {
        guard rule != nil, weights.contains(axis.value) else { return false }
        if let known = isCutOut.withLock({ $0[axis] }) { return known }
        let result = !isFollowed(axis)
        isCutOut.withLock { $0[axis] = result }
        return result
    }

    /// The contents of a computed weight; `nil` for any other value.
    func contents(of value: Int, in graph: Graph) throws -> TensorData? {
        weights.contains(value) ? try rule?(graph, value) : nil
    }
}
