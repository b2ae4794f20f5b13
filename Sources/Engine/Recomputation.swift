internal import ComputationGraph

/// The part of a pass that one more cut changes.
struct Recomputation {
    /// Positions in the plan's steps, ascending.
    let steps: [Int]
    let cuts: CutSlots
    /// The values that are read, and not recomputed; the output itself where the cut does not change it.
    let reads: [Int]

    /// What removing `edge` besides `state` changes of the value `output`.
    init(of edge: Edge, state: Mask, plan: Plan, output: Int) {
        let schedule = Schedule(plan: plan, mask: state.removing(edge), wanted: [output])
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
}
