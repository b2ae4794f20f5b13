internal import ComputationGraph
internal import Torch

/// What values are multiplied by on their way into slots.
protocol EdgeGates {
    /// What gradients are wanted for.
    var leaves: [Tensor] { get }
    /// The value that enters through `edge`: times its gates if there are any.
    func callAsFunction(_ value: Tensor, on edge: Edge) throws -> Tensor
}

/// Gates z_e = 1 on edges: leaves that gradients are wanted for.
///
/// A gate is a vector [N], one element per sample of the block, where the value on its edge has a dimension of
/// samples, and one number otherwise. Since z_e is 1, gated activations have the very bits of plain ones where no layers
/// are fused (`Specialisation.Form`).
struct Gates: EdgeGates {
    let edges: [Edge]
    /// One tensor per edge, [N] or [].
    let leaves: [Tensor]
    /// Where the samples lie in the value on each edge; `nil` for a gate that all samples share.
    private let axes: [Int?]
    private let index: [Edge: Int]

    /// No gates.
    init() { (edges, leaves, axes, index) = ([], [], [], [:]) }

    /// - Parameters:
    ///   - axes: for each edge, the samples' dimension of its value.
    ///   - samples: N.
    ///   - values: what the gates are set to; all 1 unless given.
    init(
        on edges: [Edge], axes: [Int?], samples: Int, values: [Double]? = nil, type: ScalarType = .float32
    ) throws {
        self.edges = edges
        self.axes = axes
        index = Dictionary(uniqueKeysWithValues: edges.enumerated().map { ($1, $0) })
        leaves = try edges.indices.map { position in
            let leaf = try Tensor.filled(
                values?[position] ?? 1, shape: axes[position] == nil ? [] : [samples], type: type)
            try leaf.requireGradient()
            return leaf
        }
    }

    /// The value that enters through `edge`: times its gate if there is one.
    func callAsFunction(_ value: Tensor, on edge: Edge) throws -> Tensor {
        guard let position = index[edge] else { return value }
        guard let axis = axes[position] else { return try value * leaves[position] }
        return try value * leaves[position].alongDimension(axis, rank: value.rank)
    }
}

extension Activations {
    /// Computes what `wanted` values need under a mask, every layer by itself; others are freed once nothing reads them any
    /// more.
    mutating func compute(_ wanted: [Int], mask: Mask = .empty, recording: Recording) throws {
        let kept = Set(wanted)
        try compute(
            Schedule(model, mask: mask, wanted: wanted, isFused: false), keeping: { kept.contains($0) },
            recording: recording)
    }
}
