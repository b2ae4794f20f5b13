public import ComputationGraph
public import Datasets
internal import Torch

/// Computes exact losses of masks on blocks of samples: what a worker does.
///
/// Stays with the thread that made it. The same block, state and expansion give the same bits every time, whatever
/// was computed before.
public final class Evaluator {
    private let network: Network
    private let dataset: Dataset
    private let terms: LossTerms
    /// The values that the loss reads.
    private let outputs: [Int]
    /// Outputs of the unpruned model.
    private var references: ReferenceCache
    private var passes: PassCache
    private var horizon = Horizon()
    private var parents: [ParentKey: Parent] = [:]
    /// Steps computed so far, but for the unpruned model's own outputs: what prefix reuse saves shows here.
    private(set) var computedSteps = 0

    /// The model's graph.
    public var graph: Graph { network.graph }

    /// - Parameters:
    ///   - dataset: the samples that blocks are made of.
    ///   - keptBytes: the memory for what base passes computed, in bytes; what is kept is not computed again.
    /// - Throws: `EngineError` when the data has not what the loss needs.
    public init(_ network: Network, dataset: Dataset, loss: LossDescription, keptBytes: Int = 1 << 30) throws
    {
        self.network = network
        self.dataset = dataset
        terms = try LossTerms(loss, graph: network.graph, dataset: dataset)
        outputs = Set(terms.outputs).sorted()
        references = ReferenceCache(limit: loss.needsReference ? keptBytes / 4 : 0)
        passes = PassCache(limit: loss.needsReference ? keptBytes / 4 * 3 : keptBytes)
    }

    /// An evaluator of a loss of the model's first output.
    public convenience init(_ network: Network, dataset: Dataset, loss: Loss, keptBytes: Int = 1 << 30) throws
    {
        try self.init(
            network, dataset: dataset, loss: LossDescription(loss, of: network.graph), keptBytes: keptBytes)
    }

    /// The losses of `samples` for each of `expansions` of `state`.
    ///
    /// An expansion recomputes only what depends on the edges by which it differs from a pass that is known: the state's
    /// own, or a nearer one that was kept.
    ///
    /// - Parameters:
    ///   - samples: indices into the data set, in the order of the block.
    ///   - expansions: units to remove besides `state`; `nil` stands for the state itself.
    ///   - contenders: the places of those expansions that may be states to come.
    /// - Returns: one score list per expansion, in their order.
    public func evaluate(state: Mask, samples: [Int], expansions: [Unit?], contenders: [Int] = []) throws
        -> [SampleScores]
    {
        let masks = expansions.map { $0.map { network.classes.canonical(state.removing($0)) } }
        let state = network.classes.canonical(state)
        let units = expansions.map { $0.map(network.classes.canonical(_:)) }
        passes.forgetAllBut(states: state.count)
        horizon.meet(state, contenders: contenders.compactMap { units[$0] })
        let block = passes.block(of: samples)
        let inputs =
            try passes.inputs(on: block)
            ?? network.inputs(samples, of: dataset)
        let plan = try network.plan(for: inputs)
        let parent = parent(state, plan: plan)
        let compared = try compared(samples, inputs: inputs)

        // The state's pass has what its expansions read of it, and no more: a task of one expansion costs no more than one
        // pass.
        let ways = zip(units, masks).map { unit, mask in
            unit.flatMap { unit in mask.map { way(to: $0, by: unit, from: parent, on: block) } }
        }
        var wanted: Set<Int> = []
        for way in ways where way?.base == nil { wanted.formUnion(way?.recomputation.reads ?? outputs) }
        parent.note(reads: wanted)
        let base: Pass? =
            wanted.isEmpty ? nil : try pass(of: parent, wanted: wanted, inputs: inputs, on: block)
        defer { if let base { passes.keep(base, of: state, on: block) } }

        return try zip(units, ways).enumerated().map { place, expansion in
            var results = base.map { base in outputs.map { base[$0] } }
            if let unit = expansion.0, let way = expansion.1, let start = way.base ?? base {
                let kept = parent.kept(of: unit, isContender: contenders.contains(place), horizon)
                let recomputation = way.recomputation
                var pass = Pass(startingFrom: start, changes: recomputation.changes)
                try pass.compute(recomputation.steps, cuts: recomputation.cuts) {
                    outputs.contains($0) || kept.contains($0)
                }
                computedSteps += recomputation.steps.count
                results = outputs.map { pass[$0] }
                if !kept.isEmpty {
                    passes.keep(pass.detached { kept.contains($0) }, of: recomputation.mask, on: block)
                }
            }
            return try terms.scores(measured(results ?? []), against: compared)
        }
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

    /// How an expansion is computed: what of it, and from which pass, if not from the state's.
    private typealias Way = (recomputation: Recomputation, base: Pass?)

    /// The shortest way to the state's expansion by `unit`, which computes under `mask`.
    private func way(to mask: Mask, by unit: Unit, from parent: Parent, on block: Int) -> Way {
        let own = parent.recomputation(of: mask)
        let plan = parent.plan
        guard
            let near = passes.nearest(
                to: own.mask, on: block, plan, within: plan.extent(of: unit))
        else { return (own, nil) }
        let other = Recomputation(of: outputs, under: own.mask, from: near.mask, plan: plan) {
            near.pass[$0] != nil
        }
        guard other.effort < own.effort else { return (own, nil) }
        passes.use(near.mask, on: block)
        return (other, near.pass)
    }

    /// The pass of a state, with the values `wanted`: as it was kept, or from the nearest one.
    private func pass(of parent: Parent, wanted: Set<Int>, inputs: [Tensor], on block: Int) throws -> Pass {
        let (state, plan) = (parent.state, parent.plan)
        let known = passes.take(state, on: block)
        var pass = known ?? Pass(plan: plan, inputs: inputs)
        var work = Recomputation(of: wanted, under: state, from: state, plan: plan) { pass[$0] != nil }
        if known == nil, let near = passes.nearest(to: state, on: block, plan, within: work.effort) {
            let other = Recomputation(of: wanted, under: state, from: near.mask, plan: plan) {
                near.pass[$0] != nil
            }
            if other.effort < work.effort {
                passes.use(near.mask, on: block)
                work = other
                pass = Pass(startingFrom: near.pass, changes: work.changes).detached { _ in true }
            }
        }
        let read = parent.read
        try pass.compute(work.steps, cuts: work.cuts) { read.contains($0) }
        computedSteps += work.steps.count
        return pass
    }

    /// What is known of a state's expansions, whatever the block.
    private func parent(_ state: Mask, plan: Plan) -> Parent {
        let key = ParentKey(state: state, plan: ObjectIdentifier(plan))
        if let parent = parents[key], parent.plan === plan { return parent }
        // A search goes on from states to larger ones; what is dropped is a little work.
        parents = parents.filter { $0.key.state.count >= state.count }
        if parents.count >= 256 { parents.removeAll() }
        let parent = Parent(state: state, plan: plan, outputs: outputs)
        parents[key] = parent
        return parent
    }

    private func compared(_ samples: [Int], inputs: [Tensor]) throws -> LossTerms.Block {
        try terms.block(samples) {
            try references.outputs(for: samples) {
                try network.values(terms.outputs, of: inputs, mask: .empty)
            }
        }
    }
}

private struct ParentKey: Hashable {
    let state: Mask
    let plan: ObjectIdentifier
}
