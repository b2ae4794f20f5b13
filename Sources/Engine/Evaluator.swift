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
    private let function: LossFunction
    private let labels: [Int64]
    private let positions: Int
    /// Outputs of the unpruned model.
    private var references: ReferenceCache
    private var passes: PassCache
    private var parents: [ParentKey: Parent] = [:]
    /// Steps computed so far, but for the unpruned model's own outputs: what prefix reuse saves shows here.
    private(set) var computedSteps = 0

    /// The model's graph.
    public var graph: Graph { network.graph }

    /// - Parameters:
    ///   - dataset: the samples that blocks are made of.
    ///   - keptBytes: the memory for what base passes computed, in bytes; what is kept is not computed again.
    /// - Throws: `EngineError` when the data has not what the loss needs.
    public init(_ network: Network, dataset: Dataset, loss: Loss, keptBytes: Int = 1 << 30) throws {
        self.network = network
        self.dataset = dataset
        function = LossFunction(loss, graph: network.graph)
        labels = loss.needsLabels ? try dataset.labels?.int64s() ?? [] : []
        positions = dataset.labels?.rowElementCount ?? 1
        references = ReferenceCache(limit: loss.needsReference ? keptBytes / 4 : 0)
        passes = PassCache(limit: loss.needsReference ? keptBytes / 4 * 3 : keptBytes)
    }

    /// The losses of `samples` for each of `expansions` of `state`.
    ///
    /// One base pass over the state is shared: an expansion recomputes only what depends on its cut. As far as memory
    /// allows the base pass is kept for the next task of the same state and samples.
    ///
    /// - Parameters:
    ///   - samples: indices into the data set, in the order of the block.
    ///   - expansions: edges to remove besides `state`; `nil` stands for the state itself.
    ///   - contenders: the places of those expansions that may be states to come: their passes are kept too.
    /// - Returns: one score list per expansion, in their order.
    public func evaluate(state: Mask, samples: [Int], expansions: [Edge?], contenders: [Int] = []) throws
        -> [SampleScores]
    {
        let output = graph.outputs[0].value
        let state = network.classes.canonical(state)
        let key = PassCache.Key(state: state, samples: samples)
        var base: Pass
        if let known = passes.take(key) {
            base = known
        } else {
            let inputs = try graph.inputs.map { try Tensor(dataset.gather(samples, from: $0.name)) }
            base = Pass(plan: try network.plan(for: inputs), inputs: inputs)
        }
        let reference = try reference(samples, pass: base)

        // What each expansion recomputes. The base pass computes what they read besides, and no more: a task of one
        // expansion costs no more than one pass.
        let parent = parent(state, plan: base.plan)
        let work = expansions.map { edge in
            edge.map { parent.recomputation(of: network.classes.last(of: $0), output: output) }
        }
        let wanted = work.reduce(into: Set<Int>()) { $0.formUnion($1?.reads ?? [output]) }
        parent.read.formUnion(wanted)
        let schedule = Schedule(plan: base.plan, mask: state, wanted: wanted) { base[$0] != nil }
        try base.compute(schedule.steps, cuts: schedule.cuts) { parent.read.contains($0) }
        computedSteps += schedule.steps.count

        let scores = try work.enumerated().map { place, recomputation in
            var tensor = base[output]
            if let recomputation {
                let isContender = contenders.contains(place)
                var pass = Pass(expanding: base)
                try pass.compute(recomputation.steps, cuts: recomputation.cuts) {
                    $0 == output || isContender && parent.read.contains($0)
                }
                computedSteps += recomputation.steps.count
                tensor = pass[output]
                if isContender {
                    let own = pass.detached(changes: recomputation.changedValues()) {
                        parent.read.contains($0)
                    }
                    passes.foresee(own, for: PassCache.Key(state: recomputation.mask, samples: samples))
                }
            }
            guard let tensor else { throw EngineError.data("the model's first output was not computed") }
            return try function(tensor, against: reference, samples: samples.count)
        }
        passes.keep(base, for: key)
        return scores
    }

    /// What is known of a state's expansions, whatever the block.
    private func parent(_ state: Mask, plan: Plan) -> Parent {
        let key = ParentKey(state: state, plan: ObjectIdentifier(plan))
        if let parent = parents[key], parent.plan === plan { return parent }
        // A search goes on from states to larger ones; what is dropped is a little work.
        parents = parents.filter { $0.key.state.count >= state.count }
        if parents.count >= 256 { parents.removeAll() }
        let parent = Parent(state: state, plan: plan)
        parents[key] = parent
        return parent
    }

    private func reference(_ samples: [Int], pass: Pass) throws -> LossFunction.Reference {
        switch function.loss {
        case .crossEntropy, .nextToken:
            return .labels(
                samples.flatMap { labels[$0 * positions..<($0 + 1) * positions] }, positions: positions)
        case .meanSquaredError:
            return .tensor(try Tensor(dataset.gather(samples, from: Dataset.targetsName)))
        case .klDivergence, .selfMeanSquaredError:
            return .tensor(
                try references.output(for: samples) { try network.outputs(of: pass.inputs, mask: .empty)[0] })
        }
    }
}

private struct ParentKey: Hashable {
    let state: Mask
    let plan: ObjectIdentifier
}

/// A state whose expansions are evaluated: what they recompute, and what they read.
private final class Parent {
    let state: Mask
    let plan: Plan
    /// The values that expansions read so far: worth keeping.
    var read: Set<Int>
    private var recomputations: [Edge: Recomputation] = [:]

    init(state: Mask, plan: Plan) {
        self.state = state
        self.plan = plan
        read = Set(plan.graph.inputs.map(\.value))
    }

    func recomputation(of edge: Edge, output: Int) -> Recomputation {
        if let known = recomputations[edge] { return known }
        let recomputation = Recomputation(of: edge, state: state, plan: plan, output: output)
        recomputations[edge] = recomputation
        return recomputation
    }
}
