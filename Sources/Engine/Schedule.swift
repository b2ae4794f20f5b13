internal import ComputationGraph

/// What has to be computed for a mask: the live steps, and what the removed slots read instead.
struct Schedule {
    /// Positions in the plan's steps, ascending.
    let steps: [Int]
    let cuts: Cuts

    /// The steps that reach `wanted` values when `mask` is removed.
    ///
    /// - Parameters:
    ///   - isFolded: whether layers may be computed together; without it every vertex is a step.
    ///   - given: whether a value is there already, so that nothing need be computed for it.
    init(
        plan: Plan, mask: Mask, wanted: some Sequence<Int>, isFolded: Bool = true,
        given: (Int) -> Bool = { _ in false }
    ) {
        cuts = Cuts(mask, in: plan.graph)
        var needed = [Bool](repeating: false, count: plan.graph.values.count)
        for value in wanted where !given(value) { needed[value] = true }
        var live: [Int] = []
        for (position, step) in plan.steps.enumerated().reversed()
        where step.outputs.contains(where: { $0.map { needed[$0] } ?? false }) {
            live.append(position)
            let form = isFolded ? cuts.form(of: step) : step.plain
            for value in plan.graph.vertices[step.vertex].captured where !given(value) {
                needed[value] = true
            }
            for (slot, input) in form.inputs.enumerated() {
                guard let input, !given(input) else { continue }
                // The zeros of a value whose shape follows its elements can only be made from the value itself.
                if !cuts.contains(form.vertex, slot) || plan.graph.values[input].hasDynamicShape {
                    needed[input] = true
                }
            }
        }
        steps = live.reversed()
    }
}

extension Cuts {
    /// How a step is computed under a mask: together with layers before it, unless the mask separates them.
    func form(of step: Plan.Step) -> Plan.Form {
        guard let folded = step.folded, !folded.joints.contains(where: { contains($0.node, $0.slot) })
        else { return step.plain }
        return folded
    }
}
