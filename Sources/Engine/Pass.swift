internal import ComputationGraph
internal import Torch

/// The values of one block under one mask, as they are computed.
struct Pass {
    let plan: Plan
    /// By value index; `nil` where not computed, freed, or taken from `base`.
    private(set) var values: [Tensor?]
    /// The values of the parent state that an expansion starts from.
    private var base: [Tensor?]?

    /// A pass over the whole model.
    ///
    /// - Parameter inputs: one tensor per model input, with the shapes of the plan.
    init(plan: Plan, inputs: [Tensor]) {
        self.plan = plan
        base = nil
        values = [Tensor?](repeating: nil, count: plan.graph.values.count)
        for (port, tensor) in zip(plan.graph.inputs, inputs) { values[port.value] = tensor }
    }

    /// The model inputs' tensors.
    var inputs: [Tensor] { plan.graph.inputs.compactMap { self[$0.value] } }

    /// A pass that recomputes part of `parent`.
    init(expanding parent: Pass) {
        plan = parent.plan
        base = parent.values
        values = [Tensor?](repeating: nil, count: parent.values.count)
    }

    /// The tensors that are held here, the parent's and the model's constants not counted.
    var tensors: [Tensor] { values.compactMap(\.self) }

    /// The pass of an expansion for its own sake: what was recomputed, and what is the same as in the parent.
    ///
    /// - Parameter changes: by value, whether it is another one than the parent's.
    func detached(changes: [Bool], keeping kept: (Int) -> Bool) -> Pass {
        var pass = self
        pass.base = nil
        for value in values.indices {
            pass.values[value] = kept(value) ? (changes[value] ? values[value] : base?[value]) : nil
        }
        return pass
    }

    /// The value, computed here, kept from the parent, or constant.
    subscript(value: Int) -> Tensor? { values[value] ?? base?[value] ?? plan.constants[value] }

    /// Computes `steps`; values that none of them, and nothing in `kept`, reads any more are freed on the way.
    mutating func compute(_ steps: [Int], cuts: CutSlots, keeping kept: (Int) -> Bool) throws {
        var lastReader = [Int](repeating: -1, count: values.count)
        for position in steps {
            for input in cuts.form(of: plan.steps[position]).inputs {
                if let input { lastReader[input] = position }
            }
        }
        for position in steps {
            let step = plan.steps[position]
            let form = cuts.form(of: step)
            let vertex = plan.graph.vertices[form.vertex]
            let slots = cuts[form.vertex]
            if slots.isEmpty,
                let slot = form.inPlace?.slots.first(where: { slot in
                    form.inputs[slot].map { lastReader[$0] == position && !kept($0) } ?? false
                }), let result = try overwrite(slot, of: step)
            {
                store(step, [result])
            } else if slots.isEmpty {
                try store(
                    step, Plan.compute(vertex, form.kernel, form.inputs.map { $0.flatMap { self[$0] } }))
            } else if step.isPlainAddition, slots.count == 1, let other = form.inputs[1 - slots[0]] {
                // x + 0 is x.
                store(step, [self[other]])
            } else {
                var inputs = form.inputs.map { $0.flatMap { self[$0] } }
                for slot in slots { inputs[slot] = try zeros(for: form.inputs[slot]) }
                try store(step, Plan.compute(vertex, form.kernel, inputs))
            }
            for input in form.inputs {
                if let input, lastReader[input] == position, !kept(input) { values[input] = nil }
            }
        }
    }

    /// Computes a step into the memory of its input in `slot`, which nothing reads afterwards; `nil` where someone else
    /// holds that memory, or the result would not lie in it as it would in memory of its own.
    private mutating func overwrite(_ slot: Int, of step: Plan.Step) throws -> Tensor? {
        guard let form = step.plain.inPlace, let index = step.plain.inputs[slot], values[index] != nil else {
            return nil
        }
        let others = step.plain.inputs.indices.filter { $0 != slot }.map {
            step.plain.inputs[$0].flatMap { self[$0] }
        }
        guard others.allSatisfy({ $0 !== values[index] }), var target = values[index] else { return nil }
        values[index] = nil
        guard isKnownUniquelyReferenced(&target), target.isExclusive, form.fits(target, others) else {
            values[index] = target
            return nil
        }
        try form(target, others.compactMap(\.self), plan.graph.vertices[step.vertex])
        return target
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
