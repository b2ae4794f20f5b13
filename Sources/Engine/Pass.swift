internal import ComputationGraph
internal import Torch

/// What has to be computed for a mask: the live steps, and what the removed slots read instead.
struct Schedule {
    /// Positions in the plan's steps, ascending.
    let steps: [Int]
    let cuts: CutSlots

    /// The steps that reach `wanted` values when `mask` is removed.
    init(plan: Plan, mask: Mask, wanted: some Sequence<Int>) {
        cuts = CutSlots(mask)
        var needed = [Bool](repeating: false, count: plan.graph.values.count)
        for value in wanted { needed[value] = true }
        var live: [Int] = []
        for (position, step) in plan.steps.enumerated().reversed()
        where step.outputs.contains(where: { $0.map { needed[$0] } ?? false }) {
            live.append(position)
            for value in plan.graph.vertices[step.vertex].captured { needed[value] = true }
            for (slot, input) in step.inputs.enumerated() {
                guard let input else { continue }
                // The zeros of a value whose shape follows its elements can only be made from the value itself.
                if !cuts.contains(step.vertex, slot) || plan.graph.values[input].hasDynamicShape {
                    needed[input] = true
                }
            }
        }
        steps = live.reversed()
    }

    /// The live steps that depend on what vertex `node` computes, itself included: all that changes when one of its
    /// slots is cut.
    func descendants(of node: Int, in plan: Plan) -> [Int] {
        var changed = [Bool](repeating: false, count: plan.graph.values.count)
        var affected: [Int] = []
        for position in steps {
            let step = plan.steps[position]
            let reads = step.inputs.enumerated().contains { slot, input in
                guard let input, changed[input] else { return false }
                return !cuts.contains(step.vertex, slot) || plan.graph.values[input].hasDynamicShape
            }
            guard reads || step.vertex == node else { continue }
            affected.append(position)
            for output in step.outputs { if let output { changed[output] = true } }
        }
        return affected
    }
}

/// The values of one block under one mask, as they are computed.
struct Pass {
    let plan: Plan
    /// By value index; `nil` where not computed, freed, or taken from `base`.
    private(set) var values: [Tensor?]
    /// The values of the parent state that an expansion starts from.
    private let base: [Tensor?]?

    /// A pass over the whole model.
    ///
    /// - Parameter inputs: one tensor per model input, with the shapes of the plan.
    init(plan: Plan, inputs: [Tensor]) {
        self.plan = plan
        base = nil
        values = [Tensor?](repeating: nil, count: plan.graph.values.count)
        for (port, tensor) in zip(plan.graph.inputs, inputs) { values[port.value] = tensor }
    }

    /// A pass that recomputes part of `parent`.
    init(expanding parent: Pass) {
        plan = parent.plan
        base = parent.values
        values = [Tensor?](repeating: nil, count: parent.values.count)
    }

    /// The value, computed here, kept from the parent, or constant.
    subscript(value: Int) -> Tensor? { values[value] ?? base?[value] ?? plan.constants[value] }

    /// Computes `steps`; values that none of them, and nothing in `kept`, reads any more are freed on the way.
    mutating func compute(_ steps: [Int], cuts: CutSlots, keeping kept: (Int) -> Bool) throws {
        var lastReader = [Int](repeating: -1, count: values.count)
        for position in steps {
            for input in plan.steps[position].inputs { if let input { lastReader[input] = position } }
        }
        for position in steps {
            let step = plan.steps[position]
            let slots = cuts[step.vertex]
            if slots.isEmpty {
                try store(
                    step,
                    Plan.compute(
                        plan.graph.vertices[step.vertex], step.kernel,
                        step.inputs.map { $0.flatMap { self[$0] } }))
            } else if step.isPlainAddition, slots.count == 1, let other = step.inputs[1 - slots[0]] {
                // x + 0 is x.
                store(step, [self[other]])
            } else {
                var inputs = step.inputs.map { $0.flatMap { self[$0] } }
                for slot in slots { inputs[slot] = try zeros(for: step.inputs[slot]) }
                try store(step, Plan.compute(plan.graph.vertices[step.vertex], step.kernel, inputs))
            }
            for input in step.inputs {
                if let input, lastReader[input] == position, !kept(input) { values[input] = nil }
            }
        }
    }

    private mutating func store(_ step: Plan.Step, _ results: [Tensor?]) {
        for (position, output) in step.outputs.enumerated() where position < results.count {
            if let output { values[output] = results[position] }
        }
    }

    /// Zeros in the shape of a value, of one stored element.
    private func zeros(for value: Int?) throws -> Tensor? {
        guard let value else { return nil }
        if plan.graph.values[value].hasDynamicShape, let tensor = self[value] {
            return try zerosLike(.tensor(tensor))
        }
        guard let shape = plan.shapes[value] else { return nil }
        return try expand(.tensor(Tensor(scalar: Float(0))), .ints(shape))
    }
}

private let zerosLike = Operation("aten::zeros_like")
private let expand = Operation("aten::expand")
