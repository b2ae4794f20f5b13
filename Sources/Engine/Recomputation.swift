internal import ComputationGraph

/// The part of a pass that one more cut changes.
struct Recomputation {
    /// Positions in the plan's steps, ascending.
    let steps: [Int]
    let cuts: CutSlots
    /// The values that are read, and not recomputed; the output itself where the cut does not change it.
    let reads: [Int]
    /// The mask of the expansion.
    let mask: Mask
    private let edge: Edge
    private let plan: Plan

    /// What removing `edge` besides `state` changes of the value `output`.
    init(of edge: Edge, state: Mask, plan: Plan, output: Int) {
        mask = state.removing(edge)
        (self.edge, self.plan) = (edge, plan)
        let schedule = Schedule(plan: plan, mask: mask, wanted: [output])
        cuts = schedule.cuts
        steps = schedule.descendants(of: edge.node, in: plan)
        var written: Set<Int> = []
        var reads: Set<Int> = []
        for position in steps {
            let step = plan.steps[position]
            let form = cuts.form(of: step)
            for (slot, input) in form.inputs.enumerated() {
                guard let input, !written.contains(input) else { continue }
                if !cuts.contains(form.vertex, slot) || plan.graph.values[input].hasDynamicShape {
                    reads.insert(input)
                }
            }
            for value in plan.graph.vertices[step.vertex].captured where !written.contains(value) {
                reads.insert(value)
            }
            for value in step.outputs { if let value { written.insert(value) } }
        }
        if !written.contains(output) { reads.insert(output) }
        self.reads = reads.sorted()
    }

    /// By value: whether it is another one than under the state, be it computed or not.
    func changedValues() -> [Bool] {
        var changes = [Bool](repeating: false, count: plan.graph.values.count)
        for step in plan.steps {
            let vertex = plan.graph.vertices[step.vertex]
            let reads = step.plain.inputs.enumerated().contains { slot, input in
                guard let input, changes[input] else { return false }
                return !cuts.contains(step.vertex, slot) || plan.graph.values[input].hasDynamicShape
            }
            guard reads || step.vertex == edge.node || vertex.captured.contains(where: { changes[$0] }) else {
                continue
            }
            for output in step.outputs { if let output { changes[output] = true } }
        }
        return changes
    }
}
