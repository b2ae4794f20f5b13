internal import ComputationGraph
internal import Torch

/// The values of one block under one mask, as they are computed.
struct Pass {
    let plan: Plan
    /// By value index; `nil` where not computed, freed, or taken from `base`.
    private(set) var values: [Tensor?]
    /// The values of another pass, and which of them are others here.
    private var base: (values: [Tensor?], changes: [Bool])?

    /// A pass over the whole model.
    ///
    /// - Parameter inputs: one tensor per model input, with the shapes of the plan.
    init(plan: Plan, inputs: [Tensor]) {
        self.plan = plan
        base = nil
        values = [Tensor?](repeating: nil, count: plan.graph.values.count)
        for (port, tensor) in zip(plan.graph.inputs, inputs) { values[port.value] = tensor }
    }

    /// A pass that recomputes part of another one.
    ///
    /// - Parameter changes: by value, whether it is another one than there.
    init(startingFrom other: Pass, changes: [Bool]) {
        plan = other.plan
        base = (other.values, changes)
        values = [Tensor?](repeating: nil, count: other.values.count)
    }

    /// The model inputs' tensors.
    var inputs: [Tensor] { plan.graph.inputs.compactMap { self[$0.value] } }

    /// The tensors that are held here, the other pass's and the model's constants not counted.
    var tensors: [Tensor] { values.compactMap(\.self) }

    /// The pass for its own sake: what was computed here, and what is the same as in the pass that it started from.
    func detached(keeping kept: (Int) -> Bool) -> Pass {
        var pass = self
        pass.base = nil
        for value in values.indices {
            pass.values[value] = kept(value) ? values[value] ?? shared(value) : nil
        }
        return pass
    }

    /// The value, computed here, the same as in the other pass, or constant.
    subscript(value: Int) -> Tensor? { values[value] ?? shared(value) ?? plan.constants[value] }

    private func shared(_ value: Int) -> Tensor? {
        guard let base, !base.changes[value] else { return nil }
        return base.values[value]
    }

    /// Computes `steps`; values that none of them, and nothing in `kept`, reads any more are freed on the way.
    mutating func compute(_ steps: [Int], cuts: Cuts, keeping kept: (Int) -> Bool) throws {
        var lastReader = [Int](repeating: -1, count: values.count)
        for position in steps {
            for input in cuts.form(of: plan.steps[position]).inputs {
                if let input { lastReader[input] = position }
            }
        }
        for position in steps {
            let step = plan.steps[position]
            let form = cuts.form(of: step)
            let slots = cuts[form.vertex]
            if slots.isEmpty,
                let slot = form.inPlace?.slots.first(where: { slot in
                    form.inputs[slot].map { lastReader[$0] == position && !kept($0) } ?? false
                }), let result = try overwrite(slot, of: step)
            {
                store(step, [result])
            } else if slots.isEmpty {
                let inputs = form.inputs.map { $0.flatMap { self[$0] } }
                try store(step, Plan.compute(plan.graph.vertices[form.vertex], form.kernel, inputs))
            } else if step.isPlainAddition, slots.count == 1, let other = form.inputs[1 - slots[0]] {
                // x + 0 is x.
                store(step, [self[other]])
            } else {
                var inputs = form.inputs.map { $0.flatMap { self[$0] } }
                for slot in slots { inputs[slot] = try zeros(for: form.inputs[slot]) }
                try store(step, Plan.compute(plan.graph.vertices[form.vertex], form.kernel, inputs))
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
