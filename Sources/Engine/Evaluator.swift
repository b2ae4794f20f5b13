public import ComputationGraph
public import Datasets
package import Torch
internal import Work

/// Computes exact losses of masks on blocks of samples: what a worker does.
///
/// Stays with the thread that made it. The same block, state and expansion give the same bits every time, whatever
/// was computed before.
public final class Evaluator {
    let network: Network
    let dataset: Dataset
    let terms: LossTerms
    let loss: LossDescription
    private var saliency: SliceSaliency?
    private var reference: Reference?
    /// What computes gradients of the training in progress.
    var training: GradientPass?
    /// The content of the weights that it has.
    var trainedContent: ContentID?
    /// The values that the loss reads.
    let outputs: [Int]
    private let parameters: Parameters?
    private var sampleAxes: SampleAxes?
    private(set) var means = Means()
    /// The bytes that may be kept between tasks.
    let keptBytes: Int
    private var reuse: ReusePlanner
    /// Steps computed so far, but for the unpruned model's own outputs: what prefix reuse saves shows here.
    private(set) var computedSteps = 0

    /// The model's graph.
    public var graph: Graph { network.graph }

    /// - Parameters:
    ///   - dataset: the samples that blocks are made of.
    ///   - keptBytes: the memory for what is kept between tasks, in bytes; what is kept is not computed again.
    ///   - parameters: the version to run with; that of the model's file unless given. What losses compare with is always
    ///     the unpruned model of the file.
    /// - Throws: `EngineError` when the data has not what the loss needs.
    public init(
        _ network: Network, dataset: Dataset, loss: LossDescription, keptBytes: Int = 1 << 30,
        parameters: Parameters? = nil
    ) throws {
        self.network = network
        self.dataset = dataset
        self.parameters = parameters
        self.keptBytes = keptBytes
        self.loss = loss
        terms = try LossTerms(loss, graph: network.graph, dataset: dataset)
        outputs = Set(terms.outputs).sorted()
        reuse = ReusePlanner(budget: keptBytes, outputs: outputs)
    }

    /// An evaluator of a loss of the model's first output.
    public convenience init(_ network: Network, dataset: Dataset, loss: Loss, keptBytes: Int = 1 << 30) throws
    {
        try self.init(
            network, dataset: dataset, loss: LossDescription(loss, of: network.graph), keptBytes: keptBytes)
    }

    /// What slots read from now on that masks replace by means.
    ///
    /// - Parameter means: by value index, in the shape of the value but for a 1 where the samples lie
    ///   (`ValueMeans.Mean`).
    /// - Throws: `EngineError` for arrays that have no tensor form.
    public func use(means: [Int: NumpyArray]) throws {
        self.means = try Means(arrays: means)
        meansName = nil
        reuse.forgetActivations()
        network.recoveries?.forget()
        network.shared.forget()
    }

    /// What `use(means:named:)` was last given, by its content's hash.
    private var meansName: [UInt8]?

    /// Makes sure that the means of this name are in use.
    ///
    /// - Parameter load: gives them where others are in use.
    public func useMeans(named name: [UInt8], load: () throws -> ValueMeans) throws {
        guard meansName != name else { return }
        try use(
            means: load().means.mapValues { try NumpyArray(shape: $0.shape, values: $0.elements) })
        meansName = name
    }

    /// The losses of `samples` for each of `expansions` of `state`.
    ///
    /// An expansion recomputes only what depends on the units by which it differs from activations that are known: the
    /// state's own, or nearer ones that were kept.
    ///
    /// - Parameters:
    ///   - samples: indices into the data set, in the order of the block.
    ///   - expansions: units to remove besides `state`; `nil` stands for the state itself.
    ///   - reuseHints: the places of those expansions that may be states of the next stage.
    ///   - stage: which part of a search the task belongs to, e.g. its level; the next part has the next number.
    /// - Returns: one score list per expansion, in their order.
    /// - Throws: `EngineError` that names the node that failed.
    public func evaluate(
        state: Mask, samples: [Int], expansions: [Unit?], reuseHints: [Int], stage: Int
    ) throws -> [SampleScores] {
        try prepare(for: [state] + expansions.compactMap { $0.map { Mask([$0]) } })
        let masks = expansions.map { $0.map { network.classes.canonical(state.removing($0)) } }
        let state = network.classes.canonical(state)
        let units = expansions.map { $0.map(network.classes.canonical(_:)) }
        reuse.begin(stage: stage, state: state, hints: reuseHints.compactMap { units[$0] })
        let block = reuse.block(of: samples)
        let inputs = try reuse.inputs(on: block) ?? network.inputs(samples, of: dataset)
        let model = try network.specialisation(for: inputs, parameters)
        let planner = reuse.planner(of: state, model)
        let compared = try compared(samples, on: block, inputs: inputs)

        // The state's activations have what its expansions read of them, and no more: a task of one expansion costs no more
        // than one pass.
        let ways = zip(units, masks).map { unit, mask in
            unit.flatMap { unit in mask.map { way(to: $0, by: unit, from: planner, on: block) } }
        }
        var wanted: Set<Int> = []
        for way in ways where way?.base == nil { wanted.formUnion(way?.recomputation.reads ?? outputs) }
        planner.note(reads: wanted)
        let base: Activations? =
            wanted.isEmpty ? nil : try activations(of: planner, wanted: wanted, inputs: inputs, on: block)
        defer { if let base { reuse.keep(base, of: state, on: block, isExpansion: false) } }

        return try zip(units, ways).enumerated().map { place, expansion in
            var results = base.map { base in outputs.map { base[$0] } }
            if let unit = expansion.0, let way = expansion.1, let start = way.base ?? base {
                let kept = reuse.kept(of: unit, isHinted: reuseHints.contains(place), by: planner)
                let recomputation = way.recomputation
                var activations = Activations(startingFrom: start, changes: recomputation.changes)
                try activations.compute(recomputation.schedule) { outputs.contains($0) || kept.contains($0) }
                computedSteps += recomputation.schedule.steps.count
                results = outputs.map { activations[$0] }
                if !kept.isEmpty {
                    reuse.keep(
                        activations.detached { kept.contains($0) }, of: recomputation.mask, on: block,
                        isExpansion: true)
                }
            }
            return try terms.scores(measured(results ?? []), against: compared)
        }
    }

    /// Any values of a block under a mask, as they are when every layer around them is computed as in a search.
    ///
    /// - Parameters:
    ///   - wanted: value indices.
    ///   - samples: indices into the data set, in the order of the block.
    /// - Returns: one tensor per value, in their order.
    /// - Throws: `EngineError` for a value that the mask leaves uncomputed, or that names the node that failed.
    package func values(_ wanted: [Int], state: Mask, samples: [Int]) throws -> [Tensor] {
        try prepare(for: [state])
        return try network.values(
            wanted, of: network.inputs(samples, of: dataset), mask: state, parameters: parameters,
            means: means)
    }

    /// Lets masks be used: those with slices need the sizes of values.
    func prepare(for masks: [Mask]) throws {
        let slices = masks.flatMap(\.units).filter(\.kind.isSliced)
        guard !slices.isEmpty else { return }
        try network.learnSizes(from: dataset)
        for unit in slices { try graph.requireKnown(unit) }
    }

    /// The sums of values over the samples of a block, in double precision.
    ///
    /// - Parameters:
    ///   - wanted: indices of floating-point values.
    ///   - samples: indices into the data set, in the order of the block.
    /// - Returns: one sum per value, in their order.
    /// - Throws: `EngineError` for a value that the mask leaves uncomputed, or that names the node that failed.
    public func sums(of wanted: [Int], state: Mask, samples: [Int]) throws -> [ValueSum] {
        let axes = try knownSampleAxes()
        return try zip(wanted, values(wanted, state: state, samples: samples)).map { value, tensor in
            try ValueSum(
                of: tensor, samples: samples.count, axis: axes[value],
                hasDynamicShape: graph.values[value].hasDynamicShape)
        }
    }

    private func knownSampleAxes() throws -> SampleAxes {
        let axes = try sampleAxes ?? SampleAxes(of: network, dataset: dataset)
        sampleAxes = axes
        return axes
    }

    /// What a criterion says of every channel, head and neuron of the model, summed over the samples of a block.
    ///
    /// - Parameters:
    ///   - state: what is removed already, and what refits the weights.
    ///   - samples: indices into the data set, in the order of the block.
    /// - Returns: one number per atom of the graph's groups, group by group (`SliceScores`).
    /// - Throws: `EngineError` that names the node that failed, or `TorchError` where an operator has no derivative.
    public func sums(of criterion: SliceCriterion, state: Variant, samples: [Int]) throws -> [Double] {
        try network.learnSizes(from: dataset)
        try prepare(for: [state.mask])
        let known = try saliency ?? SliceSaliency(network, dataset, loss, axes: knownSampleAxes())
        saliency = known
        return try known.sums(
            of: criterion, mask: state.mask, parameters: refit(state)?.parameters ?? parameters, means: means,
            samples: samples)
    }

    /// What another mask with other weights shares of its computation.
    struct SharedSteps {
        /// Some of the values.
        let activations: Activations
        /// The first steps, which compute the same.
        let count: Int
    }

    /// The losses of `samples` under a mask with some version of the parameters.
    func scores(
        _ samples: [Int], mask: Mask, parameters: Parameters?, sharing shared: SharedSteps? = nil
    ) throws -> SampleScores {
        let block = reuse.block(of: samples)
        let inputs = try network.inputs(samples, of: dataset)
        let model = try network.specialisation(for: inputs, parameters)
        var changes = [Bool](repeating: true, count: graph.values.count)
        for step in model.steps.prefix(shared?.count ?? 0) {
            for case let output? in step.outputs { changes[output] = false }
        }
        for port in graph.inputs { changes[port.value] = false }
        var activations =
            shared.map { Activations(model, sharing: $0.activations, changes: changes) }
            ?? Activations(model, inputs: inputs, means: means)
        let schedule = Schedule(model, mask: network.classes.canonical(mask), wanted: outputs) { value in
            shared.map { !changes[value] && $0.activations[value] != nil } ?? false
        }
        let wanted = Set(outputs)
        try activations.compute(schedule) { wanted.contains($0) }
        return try terms.scores(
            measured(outputs.map { activations[$0] }),
            against: compared(samples, on: block, inputs: inputs))
    }

    /// What each term is of, from the values that the loss reads.
    private func measured(_ results: [Tensor?]) throws -> [Tensor] {
        try terms.outputs.map { value in
            guard let place = outputs.firstIndex(of: value), place < results.count,
                let output = results[place]
            else {
                throw EngineError.data("the model's output '\(graph.values[value].name)' was not computed")
            }
            return output
        }
    }

    /// How an expansion is computed: what of it, and from which activations, if not from the state's.
    private typealias Way = (recomputation: Recomputation, base: Activations?)

    /// The shortest way to the state's expansion by `unit`, which computes under `mask`.
    private func way(to mask: Mask, by unit: Unit, from planner: ExpansionPlanner, on block: Int) -> Way {
        let own = planner.recomputation(of: mask)
        let model = planner.model
        guard let near = reuse.nearest(to: own.mask, on: block, model, within: model.extent(of: unit))
        else { return (own, nil) }
        let other = Recomputation(of: outputs, under: own.mask, from: near.mask, model) {
            near.activations[$0] != nil
        }
        guard other.cost < own.cost else { return (own, nil) }
        reuse.use(near.mask, on: block)
        return (other, near.activations)
    }

    /// The activations of a state, with the values `wanted`: as they were kept, or from the nearest ones.
    private func activations(
        of planner: ExpansionPlanner, wanted: Set<Int>, inputs: [Tensor], on block: Int
    ) throws -> Activations {
        let (state, model) = (planner.state, planner.model)
        let known = reuse.take(state, on: block)
        var activations = known ?? Activations(model, inputs: inputs, means: means)
        var work = Recomputation(of: wanted, under: state, from: state, model) { activations[$0] != nil }
        if known == nil, let near = reuse.nearest(to: state, on: block, model, within: work.cost) {
            let other = Recomputation(of: wanted, under: state, from: near.mask, model) {
                near.activations[$0] != nil
            }
            if other.cost < work.cost {
                reuse.use(near.mask, on: block)
                work = other
                activations = Activations(startingFrom: near.activations, changes: work.changes).detached {
                    _ in true
                }
            }
        }
        let read = planner.read
        try activations.compute(work.schedule) { read.contains($0) }
        computedSteps += work.schedule.steps.count
        return activations
    }

    private func compared(_ samples: [Int], on block: Int, inputs: [Tensor]) throws -> LossTerms.Block {
        try terms.block(samples) {
            try reuse.references(on: block) {
                try reference.map { try $0.network.values($0.outputs, of: inputs, mask: .empty) }
                    ?? network.values(terms.outputs, of: inputs, mask: .empty)
            }
        }
    }

    /// Lets losses that compare with the unpruned model compare with another model.
    ///
    /// - Throws: `EngineError` when it lacks an output or reads other inputs.
    public func compare(with other: Network) throws {
        reference = try Reference(other, like: network, loss: loss, dataset: dataset)
    }

    /// A model whose outputs others are compared with.
    struct Reference {
        let network: Network
        /// By term of the loss, the value.
        let outputs: [Int]

        init(_ other: Network, like network: Network, loss: LossDescription, dataset: Dataset) throws {
            let names = network.graph.inputs.map(\.name)
            guard other.graph.inputs.map(\.name) == names else {
                throw EngineError.data(
                    "the teacher reads \(other.graph.inputs.map(\.name).joined(separator: ", ")), and the model "
                        + names.joined(separator: ", "))
            }
            self.network = other
            outputs = try LossTerms(loss, graph: other.graph, dataset: dataset).outputs
        }
    }
}
