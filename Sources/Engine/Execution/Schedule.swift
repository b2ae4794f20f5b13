internal import ComputationGraph

/// What has to be computed for a mask: the live steps, and what the removed slots read instead.
struct Schedule {
    /// Positions in the steps, ascending.
    let steps: [Int]
    let cuts: Cuts
    /// Whether layers may be fused; without it every vertex is a step.
    let isFused: Bool

    /// The steps that reach `wanted` values when `mask` is removed.
    ///
    /// - Parameter given: whether a value is there already, so that nothing need be computed for it.
    init(
        _ model: Specialisation, mask: Mask, wanted: some Sequence<Int>, isFused: Bool = true,
        given: (Int) -> Bool = { _ in false }
    ) {
        let graph = model.graph
        cuts = Cuts(mask, in: graph)
        self.isFused = isFused
        var needed = [Bool](repeating: false, count: graph.values.count)
        for value in wanted where !given(value) { needed[value] = true }
        var live: [Int] = []
        for (position, step) in model.steps.enumerated().reversed()
        where step.outputs.contains(where: { $0.map { needed[$0] } ?? false }) {
            live.append(position)
            let form = isFused ? cuts.form(of: step) : step.plain
            for value in graph.vertices[step.vertex].captured where !given(value) { needed[value] = true }
            for slot in form.inputs.indices {
                if let value = cuts.read(slot, of: form, in: graph), !given(value) { needed[value] = true }
            }
        }
        steps = live.reversed()
    }

    /// By value, the position of the last step that reads it; −1 for none.
    func lastReaders(in model: Specialisation) -> [Int] {
        var lastReader = [Int](repeating: -1, count: model.graph.values.count)
        for position in steps {
            let form = form(of: model.steps[position])
            for input in form.inputs { if let input { lastReader[input] = position } }
            for slot in cuts[form.vertex] {
                if case .value(let other)? = cuts.source(form.vertex, slot) { lastReader[other] = position }
            }
        }
        return lastReader
    }

    /// The values after which nothing else that is computed by then is read: the narrow places of a model.
    func narrows(in model: Specialisation) -> Set<Int> {
        let lastReader = lastReaders(in: model)
        var live: Set<Int> = []
        var found: Set<Int> = []
        for position in steps {
            live = live.filter { lastReader[$0] > position }
            for case let output? in model.steps[position].outputs where lastReader[output] > position {
                live.insert(output)
            }
            if live.count == 1 { found.formUnion(live) }
        }
        return found
    }

    /// How a step is computed.
    func form(of step: Specialisation.Step) -> Specialisation.Form {
        isFused ? cuts.form(of: step) : step.plain
    }
}

extension Cuts {
    /// How a step is computed under a mask: fused with layers before it, unless the mask separates them.
    func form(of step: Specialisation.Step) -> Specialisation.Form {
        guard let fused = step.fused, !fused.fusedEdges.contains(where: { contains($0.node, $0.slot) })
        else { return step.plain }
        return fused
    }

    /// The value that has to be there for an input of a form: its own, or the one that it reads instead. Zeros and means need
    /// none, unless their shape follows the elements of the slot's own value.
    func read(_ slot: Int, of form: Specialisation.Form, in graph: Graph) -> Int? {
        guard let own = form.inputs[slot] else { return nil }
        switch source(form.vertex, slot) {
        case nil, .part: return own
        case .value(let other): return other
        case .zero, .mean: return graph.values[own].hasDynamicShape ? own : nil
        }
    }
}

/// How values under one mask are computed from activations under another.
struct Recomputation {
    /// The mask that they are computed for.
    let mask: Mask
    /// By value: whether it is another one than under the other mask, be it computed or not.
    let changes: [Bool]
    let schedule: Schedule
    /// The values of the other activations that are read.
    let reads: [Int]
    /// What the steps cost, in operations.
    let cost: Int

    /// What of the values `wanted` has to be computed.
    ///
    /// - Parameter known: whether the other activations have a value; without it, they are asked for all that they can give.
    init(
        of wanted: some Sequence<Int>, under mask: Mask, from base: Mask, _ model: Specialisation,
        known: (Int) -> Bool = { _ in true }
    ) {
        let graph = model.graph
        let changes = model.changes(from: base, to: mask)
        schedule = Schedule(model, mask: mask, wanted: wanted) { !changes[$0] && known($0) }
        (self.mask, self.changes) = (mask, changes)
        var written: Set<Int> = []
        var reads: Set<Int> = []
        var cost = 0
        for position in schedule.steps {
            let step = model.steps[position]
            let form = schedule.form(of: step)
            for slot in form.inputs.indices {
                if let value = schedule.cuts.read(slot, of: form, in: graph), !written.contains(value) {
                    reads.insert(value)
                }
            }
            for value in graph.vertices[step.vertex].captured where !written.contains(value) {
                reads.insert(value)
            }
            for value in step.outputs { if let value { written.insert(value) } }
            cost += model.program.cost.of(step.vertex)
            if form.vertex != step.vertex { cost += model.program.cost.of(form.vertex) }
        }
        for value in wanted where !written.contains(value) { reads.insert(value) }
        self.reads = reads.sorted()
        self.cost = cost
    }
}

extension Specialisation {
    /// By value: whether it is another one under `mask` than under `base`, be it computed or not.
    fileprivate func changes(from base: Mask, to mask: Mask) -> [Bool] {
        let (before, cuts) = (Cuts(base, in: graph), Cuts(mask, in: graph))
        let nodes = Set(
            Set(before.edges).union(cuts.edges).filter {
                before.source($0.node, $0.slot) != cuts.source($0.node, $0.slot)
            }.map(\.node))
        var changes = [Bool](repeating: false, count: graph.values.count)
        for step in steps {
            let reads = step.plain.inputs.indices.contains { slot in
                cuts.read(slot, of: step.plain, in: graph).map { changes[$0] } ?? false
            }
            guard
                reads || nodes.contains(step.vertex)
                    || graph.vertices[step.vertex].captured.contains(where: { changes[$0] })
            else { continue }
            for output in step.outputs { if let output { changes[output] = true } }
        }
        return changes
    }
}
