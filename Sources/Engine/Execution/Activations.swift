internal import ComputationGraph
internal import Torch

/// The values of one block under one mask, as they are computed: the executor.
struct Activations {
    /// What is done besides computing, when gradients or intermediate values are wanted: gates on edges, and looks at what
    /// every step reads and gives. Layers are not fused then and no memory is overwritten.
    struct Recording {
        var gates: any EdgeGates = Gates()
        /// Called before each step is computed, with its inputs as they pass the gates.
        var before: (Specialisation.Step, [Tensor?]) throws -> Void = { _, _ in }
        /// Called after it, with its outputs.
        var after: (Specialisation.Step, [Tensor?]) throws -> Void = { _, _ in }
    }

    let model: Specialisation
    /// By value index; `nil` where not computed, freed, or taken from `base`.
    private(set) var values: [Tensor?]
    /// Other activations of the block, and which values are others here.
    private var base: (values: [Tensor?], changes: [Bool])?
    /// What slots read that a mask replaces by means.
    private let means: Means

    /// Of the whole model.
    ///
    /// - Parameter inputs: one tensor per model input, with the shapes of the program.
    init(_ model: Specialisation, inputs: [Tensor], means: Means = Means()) {
        self.model = model
        self.means = means
        base = nil
        values = [Tensor?](repeating: nil, count: model.graph.values.count)
        for (port, tensor) in zip(model.graph.inputs, inputs) { values[port.value] = tensor }
    }

    /// Those that recompute part of others.
    ///
    /// - Parameter changes: by value, whether it is another one than there.
    init(startingFrom other: Activations, changes: [Bool]) {
        (model, means) = (other.model, other.means)
        base = (other.values, changes)
        values = [Tensor?](repeating: nil, count: other.values.count)
    }

    /// Those of another version of the parameters that share part of others.
    ///
    /// - Parameter changes: by value, whether it is another one than there.
    init(_ model: Specialisation, sharing other: Activations, changes: [Bool]) {
        (self.model, means) = (model, other.means)
        base = (other.values, changes)
        values = [Tensor?](repeating: nil, count: other.values.count)
    }

    /// The model inputs' tensors.
    var inputs: [Tensor] { model.graph.inputs.compactMap { self[$0.value] } }

    /// The tensors that are held here, those of other activations and the model's constants not counted.
    var tensors: [Tensor] { values.compactMap(\.self) }

    /// The values that are held here.
    var heldValues: [Int] { values.indices.filter { values[$0] != nil } }

    /// The activations for their own sake: what was computed here, and what is the same as in those that they started from.
    func detached(keeping kept: (Int) -> Bool) -> Activations {
        var activations = self
        activations.base = nil
        for value in values.indices {
            activations.values[value] = kept(value) ? values[value] ?? shared(value) : nil
        }
        return activations
    }

    /// The value, computed here, the same as in the other activations, or constant.
    subscript(value: Int) -> Tensor? { values[value] ?? shared(value) ?? model.constants[value] }

    private func shared(_ value: Int) -> Tensor? {
        guard let base, !base.changes[value] else { return nil }
        return base.values[value]
    }

    /// Computes a schedule's steps; values that none of them, and nothing in `kept`, reads any more are freed on the way.
    ///
    /// - Parameter recording: asks for every layer by itself; run it under `TorchRuntime.withGradients` for derivatives.
    /// - Throws: `EngineError` that names the node that failed, or a value whose mean is not known.
    mutating func compute(
        _ schedule: Schedule, keeping kept: (Int) -> Bool, recording: Recording? = nil
    ) throws {
        let lastReader = schedule.lastReaders(in: model)
        for position in schedule.steps {
            try compute(
                position, of: schedule, lastReader: lastReader, keeping: kept, recording: recording)
        }
    }

    /// Computes one step of a schedule, whose earlier steps are computed.
    ///
    /// - Parameter lastReader: by value, the position of the last step that reads it (`Schedule.lastReaders`).
    mutating func compute(
        _ position: Int, of schedule: Schedule, lastReader: [Int], keeping kept: (Int) -> Bool,
        recording: Recording? = nil
    ) throws {
        let cuts = schedule.cuts
        let step = model.steps[position]
        let form = schedule.form(of: step)
        let slots = cuts[form.vertex]
        if slots.isEmpty, recording == nil,
            let slot = form.inPlace?.slots.first(where: { slot in
                form.inputs[slot].map { lastReader[$0] == position && !kept($0) } ?? false
            }), let result = try overwrite(slot, of: step)
        {
            store(step, [result])
        } else {
            // x + 0 is x.
            let isSkipped =
                step.isPlainAddition && slots.count == 1 && cuts.source(form.vertex, slots[0]) == .zero
            var inputs = form.inputs.map { $0.flatMap { self[$0] } }
            for slot in slots { inputs[slot] = isSkipped ? nil : try replacement(form, slot, cuts) }
            if let gates = recording?.gates {
                for (slot, input) in inputs.enumerated() where !cuts.isWhole(form.vertex, slot) {
                    inputs[slot] = try input.map { try gates($0, on: Edge(node: form.vertex, slot: slot)) }
                }
            }
            try recording?.before(step, inputs)
            let results =
                isSkipped
                ? [inputs[1 - slots[0]]]
                : try Program.compute(model.graph.vertices[form.vertex], form.kernel, inputs)
            store(step, results)
            try recording?.after(step, results)
        }
        for input in form.inputs { free(input, after: position, lastReader, kept) }
        for slot in slots {
            if case .value(let other)? = cuts.source(form.vertex, slot) {
                free(other, after: position, lastReader, kept)
            }
        }
    }

    /// Puts a tensor in the place of a value, be it computed or a parameter.
    mutating func replace(_ value: Int, by tensor: Tensor) { values[value] = tensor }

    private mutating func free(
        _ value: Int?, after position: Int, _ lastReader: [Int], _ kept: (Int) -> Bool
    ) {
        if let value, lastReader[value] == position, !kept(value) { values[value] = nil }
    }

    /// Computes a step into the memory of its input in `slot`, which nothing reads afterwards; `nil` where someone else
    /// holds that memory, or the result would not lie in it as it would in memory of its own.
    private mutating func overwrite(_ slot: Int, of step: Specialisation.Step) throws -> Tensor? {
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
        try form(target, others.compactMap(\.self), model.graph.vertices[step.vertex])
        return target
    }

    private mutating func store(_ step: Specialisation.Step, _ results: [Tensor?]) {
        for (position, output) in step.outputs.enumerated() where position < results.count {
            if let output { values[output] = results[position] }
        }
    }

    /// What a removed slot reads; `nil` for a slot that reads its own value.
    func replacement(_ form: Specialisation.Form, _ slot: Int, _ cuts: Cuts) throws -> Tensor? {
        guard let own = form.inputs[slot], let source = cuts.source(form.vertex, slot) else { return nil }
        switch source {
        case .value(let other): return self[other]
        case .part(let parts): return try self[own]?.zeroed(parts)
        case .zero: return try zeros(for: own)
        case .mean(let value):
            let graph = model.graph
            let shape = graph.values[own].hasDynamicShape ? self[own]?.shape : model.shapes[own]
            guard let shape else { return nil }
            return try means(value, shape: shape, name: graph.values[value].name)
        }
    }

    /// Zeros in the shape of a value, of one stored element.
    private func zeros(for value: Int) throws -> Tensor? {
        if model.graph.values[value].hasDynamicShape, let tensor = self[value] {
            return try zerosLike(.tensor(tensor))
        }
        guard let shape = model.shapes[value] else { return nil }
        let zero =
            model.program.scalarTypes[value] == .float64
            ? try Tensor(scalar: 0.0) : try Tensor(scalar: Float(0))
        return try expand(.tensor(zero), .ints(shape))
    }
}

extension Tensor {
    /// The tensor with zeros at some positions along its axes.
    func zeroed(_ parts: [Slice.Positions]) throws -> Tensor {
        var result = self
        for part in parts {
            let positions = try Tensor(part.ranges.flatMap(Array.init))
            result = try indexFill(.tensor(result), .int(part.axis), .tensor(positions), 0.0)
        }
        return result
    }
}

/// The means of values over the calibration data, which removed slots may read.
struct Means {
    private let tensors: [Int: Tensor]

    /// - Parameter tensors: by value index, in the shape of the value but for a 1 where the samples lie.
    init(_ tensors: [Int: Tensor] = [:]) { self.tensors = tensors }

    /// The mean of a value, once for every sample of a block.
    ///
    /// - Parameter shape: that of the value in the block.
    /// - Throws: `EngineError` where the mean is not known, or does not fit.
    func callAsFunction(_ value: Int, shape: [Int], name: String) throws -> Tensor {
        guard let mean = tensors[value] else {
            throw EngineError.data("the mean of the value '\(name)' is not known")
        }
        if mean.rank == shape.count, zip(mean.shape, shape).allSatisfy({ $0 == 1 || $0 == $1 }) {
            return try expand(.tensor(mean), .ints(shape))
        }
        // Samples that share a dimension with something else lie in it one after the other.
        guard mean.rank == shape.count, let first = mean.shape.first, first > 0, shape[0] % first == 0,
            mean.shape.dropFirst() == shape.dropFirst()
        else {
            throw EngineError.data(
                "the mean of the value '\(name)' has the shape \(mean.shape), which does not fit \(shape)")
        }
        return try repeated(.tensor(mean), .ints([shape[0] / first] + shape.dropFirst().map { _ in 1 }))
    }
}

private let indexFill = Operation("aten::index_fill.int_Scalar")
private let zerosLike = Operation("aten::zeros_like")
private let expand = Operation("aten::expand")
private let repeated = Operation("aten::repeat")
