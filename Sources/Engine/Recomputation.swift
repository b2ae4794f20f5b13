internal import ComputationGraph

/// How values under one mask are computed from a pass under another.
struct Recomputation {
    /// The mask that they are computed for.
    let mask: Mask
    /// By value: whether it is another one than under the other mask, be it computed or not.
    let changes: [Bool]
    /// Positions in the plan's steps, ascending.
    let steps: [Int]
    let cuts: Cuts
    /// The values of the other pass that are read.
    let reads: [Int]
    /// What the steps take.
    let effort: Int

    /// What of the values `wanted` has to be computed.
    ///
    /// - Parameter known: whether the other pass has a value; without it, it is asked for all that it can give.
    init(
        of wanted: some Sequence<Int>, under mask: Mask, from base: Mask, plan: Plan,
        known: (Int) -> Bool = { _ in true }
    ) {
        let changes = plan.changes(from: base, to: mask)
        let schedule = Schedule(plan: plan, mask: mask, wanted: wanted) { !changes[$0] && known($0) }
        (self.mask, self.changes, steps, cuts) = (mask, changes, schedule.steps, schedule.cuts)
        var written: Set<Int> = []
        var reads: Set<Int> = []
        var effort = 0
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
            effort += plan.effort(of: step.vertex)
            if form.vertex != step.vertex { effort += plan.effort(of: form.vertex) }
        }
        for value in wanted where !written.contains(value) { reads.insert(value) }
        self.reads = reads.sorted()
        self.effort = effort
    }
}

extension Plan {
    /// By value: whether it is another one under `mask` than under `base`, be it computed or not.
    fileprivate func changes(from base: Mask, to mask: Mask) -> [Bool] {
        let (before, cuts) = (Cuts(base, in: graph), Cuts(mask, in: graph))
        let nodes = Set(
            Set(before.edges).union(cuts.edges).filter {
                before.source($0.node, $0.slot) != cuts.source($0.node, $0.slot)
            }.map(\.node))
        var changes = [Bool](repeating: false, count: graph.values.count)
        for step in steps {
            let reads = step.plain.inputs.enumerated().contains { slot, input in
                guard let input, changes[input] else { return false }
                return !cuts.contains(step.vertex, slot) || graph.values[input].hasDynamicShape
            }
            guard
                reads || nodes.contains(step.vertex)
                    || graph.vertices[step.vertex].captured.contains(where: { changes[$0] })
            else {
                continue
            }
            for output in step.outputs { if let output { changes[output] = true } }
        }
        return changes
    }
}
