internal import ComputationGraph
internal import ONNX
internal import Torch

/// What the output of a linear layer should be: the unpruned model's, or what makes the sum whole that it enters.
struct FitTarget {
    /// From the layer's output to the last sum that it alone feeds on the way; empty where there is none.
    let path: [SumPath.Step]
    /// The value whose unpruned rows are aimed at.
    let value: Int
    /// The values of other addends that are computed after the layer: the unpruned model's stand for them.
    let later: [Int]
    /// Whether a channel may have to be fitted to the layer's own unpruned output.
    let needsOwn: Bool

    /// - Parameters:
    ///   - model: the model at the shapes that it is fitted at.
    ///   - position: by vertex, its place in the order of computation.
    init(of map: LinearMap, in model: Specialisation, position: [Int]) {
        let graph = model.graph
        let shape = model.shapes[map.output]
        path =
            SumPath(
                from: map.output, channelAxisFromEnd: map.channelAxisFromEnd, rank: shape?.count ?? 0,
                in: graph
            ) { shape != nil && model.shapes[$0] == shape }.steps
        value = path.last.flatMap { graph.vertices[$0.vertex].outputs[0] } ?? map.output
        var later: Set<Int> = []
        var needsOwn = path.isEmpty
        for step in path {
            let vertex = graph.vertices[step.vertex]
            switch step {
            case .addend(_, let slot):
                for (other, value) in vertex.inputs.enumerated() where other != slot {
                    guard let value, let producer = graph.values[value].producer else { continue }
                    if position[producer] > position[map.vertex] { later.insert(value) }
                }
            case .affine:
                needsOwn =
                    needsOwn || vertex.facts.affine == .product || vertex.facts.affine == .batchNormalisation
            }
        }
        self.later = later.sorted()
        self.needsOwn = needsOwn
    }

    /// The values of which rows of the unpruned model are needed.
    func wanted(of map: LinearMap) -> Set<Int> { Set(later + [value] + (needsOwn ? [map.output] : [])) }
}

extension FitTarget {
    /// Undoes an affine step, row by row.
    ///
    /// - Parameters:
    ///   - rows: float64 [n, M], in front of the step.
    ///   - fixed: noted where a channel's factor is 0, bool [M].
    static func undo(
        _ vertex: Vertex, slot: Int, _ rows: Tensor, constants: [Tensor?], fixed: inout Tensor?
    ) throws -> Tensor {
        func vector(_ slot: Int) throws -> Tensor {
            guard let value = vertex.inputs[slot], let tensor = constants[value] else {
                throw EngineError.data("an operand of '\(vertex.name)' is no constant")
            }
            return try tensor.reshaped([tensor.count]).converted(to: .float64)
        }
        func divided(_ rows: Tensor, by factor: Tensor) throws -> Tensor {
            let wide = try factor.expanded([rows.shape[1]])
            let isZero = try equals(.tensor(wide), 0)
            fixed = try fixed.map { try either(.tensor($0), .tensor(isZero)) } ?? isZero
            return try rows / isZero.choosing(Tensor.filled(1, shape: wide.shape, type: .float64), else: wide)
        }
        switch vertex.facts.affine {
        case .sum:
            let others = vertex.inputs.indices.filter { $0 != slot && vertex.inputs[$0] != nil }
            return try others.reduce(rows) { try $0 - vector($1) }
        case .difference: return try rows + vector(1)
        case .product: return try divided(rows, by: vector(1 - slot))
        case .quotient: return try rows * vector(1)
        case .batchNormalisation:
            let epsilon: Float = try vertex.node.float("epsilon", default: 1e-5)
            let deviation = try (vector(4) + Double(epsilon)).squareRooted()
            return try divided((rows - vector(2)) * deviation, by: vector(1)) + vector(3)
        case .identity, nil: return rows
        }
    }
}

private let equals = Operation("aten::eq.Scalar")
private let either = Operation("aten::logical_or")
