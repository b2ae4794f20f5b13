internal import ComputationGraph
internal import Torch

/// Gates z_e = 1 on edges: leaves that gradients are wanted for.
///
/// A gate is a vector [N], one element per sample of the block, where the value on its edge has a dimension of
/// samples, and one number otherwise. Since z_e is 1, the gated pass computes the
/// very bits of the plain one where no layers are computed together (`Plan.Form`).
struct Gates {
    let edges: [Edge]
    /// One tensor per edge, [N] or [].
    let leaves: [Tensor]
    /// Where the samples lie in the value on each edge; `nil` for a gate that all samples share.
    private let axes: [Int?]
    private let index: [Edge: Int]

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

/// The values of one block in a pass with gates. Run it under `TorchRuntime.withGradients` to record it.
struct GatedPass {
    let plan: Plan
    let gates: Gates
    /// By value index; `nil` where not computed, or freed.
    private var values: [Tensor?]

    /// - Parameter inputs: one tensor per model input, with the shapes of the plan.
    init(plan: Plan, inputs: [Tensor], gates: Gates) {
        self.plan = plan
        self.gates = gates
        values = [Tensor?](repeating: nil, count: plan.graph.values.count)
        for (port, tensor) in zip(plan.graph.inputs, inputs) { values[port.value] = tensor }
    }

    /// The value as it was computed, before any gate.
    subscript(value: Int) -> Tensor? { values[value] ?? plan.constants[value] }

    /// Computes what `wanted` values need; others are freed once nothing reads them any more.
    ///
    /// - Parameter visit: called before each step is computed, with its inputs as they pass the gates, and after it
    ///   with its outputs.
    mutating func compute(
        _ wanted: [Int], before visit: (Plan.Step, [Tensor?]) throws -> Void = { _, _ in },
        after leave: (Plan.Step, [Tensor?]) throws -> Void = { _, _ in }
    ) throws {
        let steps = Schedule(plan: plan, mask: .empty, wanted: wanted, isFolded: false).steps
        let kept = Set(wanted)
        var lastReader = [Int](repeating: -1, count: values.count)
        for position in steps {
            for input in plan.steps[position].plain.inputs { if let input { lastReader[input] = position } }
        }
        for position in steps {
            let step = plan.steps[position]
            let inputs = try step.plain.inputs.enumerated().map { slot, input in
                try input.flatMap { self[$0] }.map { try gates($0, on: Edge(node: step.vertex, slot: slot)) }
            }
            try visit(step, inputs)
            let results = try Plan.compute(plan.graph.vertices[step.vertex], step.plain.kernel, inputs)
            for (place, output) in step.outputs.enumerated() where place < results.count {
                if let output { values[output] = results[place] }
            }
            try leave(step, results)
            for input in step.plain.inputs {
                if let input, lastReader[input] == position, !kept.contains(input) { values[input] = nil }
            }
        }
    }
}
