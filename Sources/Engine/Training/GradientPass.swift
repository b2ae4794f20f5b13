internal import ComputationGraph
internal import Datasets
internal import FoundationEssentials
internal import ONNX
internal import Torch
public import Training
public import Work

/// Computes the gradient of a training's loss over micro-batches.
///
/// Stays with the thread that made it. A pure function of subject, weights, step and samples.
final class GradientPass {
    let subject: TrainingSubject
    private let network: Network
    private let dataset: Dataset
    private let terms: LossTerms
    private let sampleWeights: [Float]
    private let distillation: Distillation?
    private let augmentation: Augmentation?
    private let mask: Mask
    private let means: Means
    /// Another model that teaches, and its values of the loss's outputs.
    private let teacher: Evaluator.Reference?
    /// What weights that are not trained have.
    private let base: Parameters
    /// The biases that are trained beside the subject's values, of layers that have none in the model's file.
    private let biases: [(vertex: Int, bias: AddedBias)]
    /// What normalises by the batch; `nil` for nothing.
    private let batchNorms: BatchNormalisation?
    private var version: (name: [UInt8], parameters: Parameters, leaves: [Tensor])?
    /// The last micro-batch's gradients, of the subject's values first; `nil` where none came back.
    private(set) var lastGradients: [Tensor?] = []
    /// By the inputs' shapes, for the weights in use.
    private var models: [[[Int]]: Specialisation] = [:]

    /// - Parameters:
    ///   - teacher: the file of another model that teaches; `nil` where the unpruned model does.
    ///   - base: what weights that are not trained have; the model's own unless given. Its added biases are trained too.
    /// - Throws: `EngineError` when the data has not what the loss needs, or the teacher lacks an output.
    init(
        _ subject: TrainingSubject, _ network: Network, _ dataset: Dataset, _ loss: LossDescription,
        means: Means, teacher: ModelFile? = nil, base: Parameters? = nil
    ) throws {
        self.base = base ?? network.parameters
        biases = (base?.addedBiases ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        (self.subject, self.network, self.dataset, self.means) = (subject, network, dataset, means)
        terms = try LossTerms(loss, graph: network.graph, dataset: dataset)
        sampleWeights = try loss.weights(for: dataset)
        mask = network.classes.canonical(subject.mask)
        batchNorms = try network.graph.batchNormalisation(of: subject)
        distillation =
            subject.objective.distillation > 0
            ? Distillation(of: terms, temperature: subject.objective.temperature) : nil
        augmentation = subject.objective.augments ? Augmentation(subject.objective) : nil
        self.teacher = try teacher.map { file in
            try Evaluator.Reference(
                Network(Graph.executable(file)), like: network, loss: loss, dataset: dataset)
        }
    }

    /// Takes weights into use.
    ///
    /// - Parameters:
    ///   - name: what tells them from others.
    ///   - load: their elements, value by value; asked for where others are in use.
    func use(_ name: [UInt8], load: () throws -> [Float]) throws {
        guard version?.name != name else { return }
        let elements = try load()
        guard elements.count == subject.elements else {
            throw EngineError.data("there are \(elements.count) weights in place of \(subject.elements)")
        }
        version = try TorchRuntime.withGradients {
            let parameters = try parameters(of: elements) { try $0.requireGradient() }
            let leaves = try subject.values.map { value in
                guard let leaf = parameters[value] else {
                    throw EngineError.data("value \(value) is no parameter")
                }
                try leaf.requireGradient()
                return leaf
            }
            let scales = try batchNorms.map { try $0.use(elements.suffix($0.elements)) } ?? []
            return (
                name, parameters,
                leaves + biases.compactMap { parameters.addedBiases[$0.vertex]?.flat } + scales
            )
        }
        models = [:]
    }

    /// The model's parameters with these elements: those of the subject's values, then those of the added biases.
    ///
    /// - Parameter prepare: called with the tensor of each added bias before anything is made of it.
    func parameters(of elements: [Float], preparing prepare: (Tensor) throws -> Void = { _ in }) throws
        -> Parameters
    {
        let extra = biases.reduce(0) { $0 + $1.bias.flat.count }
        let own = elements.count - (batchNorms?.elements ?? 0)
        let changed = try network.tensors(subject.values, Array(elements.prefix(own - extra)))
        var start = own - extra
        var added: [Int: AddedBias] = [:]
        for (vertex, bias) in biases {
            let flat = try Tensor(Array(elements[start..<start + bias.flat.count]))
            try prepare(flat)
            added[vertex] = try AddedBias(flat, channelAxisFromEnd: bias.broadcastRank - 1)
            start += bias.flat.count
        }
        return try base.replacing(changed, addingBiases: added, version: "training")
    }

    /// The gradient's sum over a micro-batch.
    ///
    /// - Parameters:
    ///   - places: the samples' places in the data that are held.
    ///   - samples: their numbers in the whole data set.
    /// - Throws: `EngineError` that names the node that failed or has no derivative.
    func sum(places: [Int], samples: [Int], step: Int) throws -> GradientSum {
        guard let version else { throw EngineError.data("there are no weights to train") }
        guard places.count == samples.count, places.allSatisfy(sampleWeights.indices.contains) else {
            throw EngineError.data("there are only \(sampleWeights.count) samples to train on here")
        }
        let inputs = try inputs(places, samples, step)
        let losses = try TorchRuntime.withGradients {
            try self.losses(of: inputs, places, version.parameters)
        }
        let weighted = try TorchRuntime.withGradients {
            let weights: [Float] = places.map { sampleWeights[$0] }
            return try (losses * Tensor(weights).converted(to: losses.scalarType)).summed(over: [0])
        }
        guard try weighted.isRecorded else {
            throw EngineError.data("no gradient reaches the weights that are to be trained")
        }
        let gradients = try Tensor.gradients(of: [weighted], withRespectTo: version.leaves)
        lastGradients = gradients
        var elements: [Float] = []
        elements.reserveCapacity(subject.elements)
        for (leaf, gradient) in zip(version.leaves, gradients) {
            elements += try gradient?.elements() ?? [Float](repeating: 0, count: leaf.count)
        }
        if let batchNorms {
            elements += try batchNorms.takeStatistics(
                times: places.reduce(0) { $0 + Double(sampleWeights[$1]) })
        }
        var sum = GradientSum(gradient: elements, loss: 0, weight: 0)
        for (place, loss) in try zip(places, losses.detached().elements(as: Double.self)) {
            sum.loss += Double(sampleWeights[place]) * loss
            sum.weight += Double(sampleWeights[place])
        }
        return sum
    }

    private func inputs(_ places: [Int], _ samples: [Int], _ step: Int) throws -> [Tensor] {
        guard let augmentation else { return try network.inputs(places, of: dataset) }
        return try network.graph.inputs.enumerated().map { index, port in
            let array = try dataset.gather(places, from: port.name)
            guard index == 0 else { return try Tensor(array) }
            return try Tensor(
                augmentation.changed(array, samples: samples, step: step, input: port.name))
        }
    }

    /// The loss of every sample, [N], recorded.
    private func losses(of inputs: [Tensor], _ places: [Int], _ parameters: Parameters) throws -> Tensor {
        let model = try specialisation(for: inputs, parameters)
        var activations = Activations(model, inputs: inputs, means: means)
        let wanted = Set(terms.outputs)
        try activations.compute(
            Schedule(model, mask: mask, wanted: wanted), keeping: wanted.contains,
            recording: Activations.Recording())
        let outputs = try terms.outputs.map { value in
            guard let output = activations[value] else {
                throw EngineError.data(
                    "the model's output '\(network.graph.values[value].name)' was not computed")
            }
            return output
        }
        var taught: [Tensor]?
        func unpruned() throws -> [Tensor] {
            if let taught { return taught }
            let own = try TorchRuntime.withoutGradients {
                try teacher.map { try $0.network.values($0.outputs, of: inputs, mask: .empty) }
                    ?? network.values(terms.outputs, of: inputs, mask: .empty)
            }
            taught = own
            return own
        }
        let share = subject.objective.distillation
        let own =
            share < 1 ? try terms.losses(outputs, against: terms.block(places, unpruned: unpruned)) : nil
        guard let distillation else {
            guard let own else { throw EngineError.data("a training needs a loss") }
            return own
        }
        let distance = try distillation.losses(
            outputs, teacher: unpruned(), counts: terms.counts(places), samples: places.count)
        guard let own else { return distance }
        return try own.converted(to: distance.scalarType) * (1 - share) + distance * share
    }

    private func specialisation(for inputs: [Tensor], _ parameters: Parameters) throws -> Specialisation {
        let shapes = inputs.map(\.shape)
        if let known = models[shapes] { return known }
        let program = try TorchRuntime.withoutGradients { try network.program(for: inputs) }
        let made = try Specialisation(
            program, parameters, recordsParameters: true, batchNorms: batchNorms)
        // What follows from parameters alone is recorded with it, and a record serves one pass back.
        if program.parameterSteps.isEmpty { models[shapes] = made }
        return made
    }
}

extension Graph {
    /// The layers that normalise by the batch in a training; `nil` for none.
    ///
    /// - Throws: `EngineError` for a vertex that cannot.
    fileprivate func batchNormalisation(of subject: TrainingSubject) throws -> BatchNormalisation? {
        guard !subject.batchNorms.isEmpty else { return nil }
        let wanted = Set(subject.batchNorms)
        let layers = batchNorms(training: subject.values, under: subject.mask).filter {
            wanted.contains($0.vertex)
        }
        guard layers.count == wanted.count else {
            throw EngineError.data("a layer that is to normalise by the batch is not one that can")
        }
        return BatchNormalisation(layers)
    }
}

extension Network {
    /// A version of the parameters in which some have other numbers.
    ///
    /// - Parameters:
    ///   - values: those parameters.
    ///   - elements: their numbers, value by value in C order.
    /// - Throws: `EngineError` for a value that is no parameter, or another number of elements.
    public func parameters(_ values: [Int], _ elements: [Float]) throws -> Parameters {
        try parameters.replacing(tensors(values, elements), version: "trained")
    }

    /// Tensors of some parameters with other numbers.
    func tensors(_ values: [Int], _ elements: [Float]) throws -> [Int: Tensor] {
        var changed: [Int: Tensor] = [:]
        var start = 0
        for value in values {
            guard graph.values.indices.contains(value), let shape = parameters[value]?.shape else {
                throw EngineError.data("value \(value) is no parameter of the model")
            }
            let end = start + shape.reduce(1, *)
            guard end <= elements.count else { throw EngineError.data("there are too few weights") }
            changed[value] = try Tensor(Array(elements[start..<end]), shape: shape)
            start = end
        }
        guard start == elements.count else { throw EngineError.data("there are too many weights") }
        return changed
    }

    /// The numbers of some parameters, value by value in C order.
    ///
    /// - Throws: `EngineError` for a value that is no parameter.
    public func elements(of values: [Int]) throws -> [Float] {
        try values.flatMap { value -> [Float] in
            guard graph.values.indices.contains(value), let tensor = parameters[value] else {
                throw EngineError.data("value \(value) is no parameter of the model")
            }
            return try tensor.elements()
        }
    }
}

extension Evaluator {
    /// The gradient of a training's loss, summed over micro-batches in their tree.
    ///
    /// - Parameters:
    ///   - item: what is asked for.
    ///   - places: by micro-batch, the samples' places in the data that are held here.
    ///   - teacher: the bytes of the subject's other teacher.
    ///   - weights: their elements; asked for where others are in use.
    ///   - replaced: told of weights that are in use no more.
    /// - Throws: `EngineError` that names the node that failed or has no derivative.
    public func gradient(
        _ item: GradientItem, places: [[Int]], teacher: () throws -> [UInt8]?, weights: () throws -> [Float],
        replaced: (ContentID) -> Void = { _ in }
    ) throws -> GradientSum {
        try prepare(for: [item.subject.mask])
        let pass = try trainingPass(for: item.subject, teacher: teacher)
        try pass.use(item.weights.sha256, load: weights)
        if let old = trainedContent, old != item.weights { replaced(old) }
        trainedContent = item.weights
        return GradientSum.inTree(
            try zip(item.microBatches, places).map { part, places in
                try pass.sum(places: places, samples: part.samples, step: item.step)
            })
    }

    /// What of a training's subject no gradient reaches, with the operator that ends it where it is known, found on one
    /// micro-batch.
    ///
    /// - Throws: `EngineError` that names the node that failed, or where no gradient reaches anything.
    public func untrainable(_ item: GradientItem, places: [Int], weights: [Float]) throws -> [(
        value: Int, vertex: Int?
    )] {
        try prepare(for: [item.subject.mask])
        let pass = try GradientPass(item.subject, network, dataset, loss, means: means)
        try pass.use(item.weights.sha256) { weights }
        _ = try pass.sum(places: places, samples: item.microBatches[0].samples, step: item.step)
        return try zip(item.subject.values, pass.lastGradients).compactMap { value, gradient in
            let step = stepFunction(after: value)
            guard let gradient else { return (value, step) }
            // Steps give slopes of 0.
            let isZero = try gradient.elements(as: Float.self).allSatisfy { $0 == 0 }
            return isZero && step != nil ? (value, step) : nil
        }
    }

    /// The first operator with steps in place of slopes that a parameter's readers lead to.
    private func stepFunction(after value: Int) -> Int? {
        var seen: Set<Int> = []
        var frontier = [value]
        while !frontier.isEmpty {
            let next = frontier.removeFirst()
            for reader in graph.consumers[next] where seen.insert(reader.node).inserted {
                let vertex = graph.vertices[reader.node]
                if Operators.traits(of: vertex.operation).isStepFunction { return reader.node }
                frontier += vertex.outputs.compactMap { $0 }
            }
        }
        return nil
    }

    private func trainingPass(for subject: TrainingSubject, teacher: () throws -> [UInt8]?) throws
        -> GradientPass
    {
        if let known = training, known.subject == subject { return known }
        let made = try GradientPass(
            subject, network, dataset, loss, means: means,
            teacher: try teacher().map { try ModelFile(serializedBytes: Data($0), name: "the teacher") })
        training = made
        return made
    }
}
