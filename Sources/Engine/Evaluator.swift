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
    /// Outputs of the unpruned model on recent blocks.
    private var references: [(samples: [Int], output: Tensor)] = []
    /// Steps computed so far, but for the unpruned model's own outputs: what prefix reuse saves shows here.
    private(set) var computedSteps = 0

    /// The model's graph.
    public var graph: Graph { network.graph }

    /// - Parameters:
    ///   - dataset: the samples that blocks are made of.
    /// - Throws: `EngineError` when the data has not what the loss needs.
    public init(_ network: Network, dataset: Dataset, loss: Loss) throws {
        self.network = network
        self.dataset = dataset
        function = LossFunction(loss, graph: network.graph)
        labels = loss.needsLabels ? try dataset.labels?.int64s() ?? [] : []
        positions = dataset.labels?.rowElementCount ?? 1
    }

    /// The losses of `samples` for each of `expansions` of `state`.
    ///
    /// One base pass over the state is shared: an expansion recomputes only what depends on its cut.
    ///
    /// - Parameters:
    ///   - samples: indices into the data set, in the order of the block.
    ///   - expansions: edges to remove besides `state`; `nil` stands for the state itself.
    /// - Returns: one score list per expansion, in their order.
    public func evaluate(state: Mask, samples: [Int], expansions: [Edge?]) throws -> [SampleScores] {
        let inputs = try graph.inputs.map { try Tensor(dataset.gather(samples, from: $0.name)) }
        let plan = try network.plan(for: inputs)
        let reference = try reference(samples, inputs: inputs)
        let output = graph.outputs[0].value
        let state = network.classes.canonical(state)

        // What each expansion recomputes. The base pass computes what they read besides, and no more: a task of one
        // expansion costs no more than one pass.
        var wanted: Set<Int> = []
        let work = expansions.map { edge -> Recomputation? in
            guard let edge else {
                wanted.insert(output)
                return nil
            }
            let recomputation = Recomputation(
                of: network.classes.last(of: edge), state: state, plan: plan, output: output)
            wanted.formUnion(recomputation.reads(of: plan))
            return recomputation
        }
        let schedule = Schedule(plan: plan, mask: state, wanted: wanted)
        var base = Pass(plan: plan, inputs: inputs)
        try base.compute(schedule.steps, cuts: schedule.cuts) { wanted.contains($0) }
        computedSteps += schedule.steps.count

        return try work.map { recomputation in
            var tensor = base[output]
            if let recomputation {
                var pass = Pass(expanding: base)
                try pass.compute(recomputation.steps, cuts: recomputation.cuts) { $0 == output }
                computedSteps += recomputation.steps.count
                tensor = pass[output]
            }
            guard let tensor else { throw EngineError.data("the model's first output was not computed") }
            return try function(tensor, against: reference, samples: samples.count)
        }
    }

    private func reference(_ samples: [Int], inputs: [Tensor]) throws -> LossFunction.Reference {
        switch function.loss {
        case .crossEntropy, .nextToken:
            return .labels(
                samples.flatMap { labels[$0 * positions..<($0 + 1) * positions] }, positions: positions)
        case .meanSquaredError:
            return .tensor(try Tensor(dataset.gather(samples, from: Dataset.targetsName)))
        case .klDivergence, .selfMeanSquaredError:
            if let known = references.first(where: { $0.samples == samples }) { return .tensor(known.output) }
            let output = try network.outputs(of: inputs, mask: .empty)[0]
            // The same block tends to come back at once, with other expansions.
            if references.count >= 4 { references.removeFirst() }
            references.append((samples, output))
            return .tensor(output)
        }
    }
}

/// The part of a pass that one more cut changes.
private struct Recomputation {
    let steps: [Int]
    let cuts: CutSlots
    private let output: Int

    init(of edge: Edge, state: Mask, plan: Plan, output: Int) {
        self.output = output
        let schedule = Schedule(plan: plan, mask: state.removing(edge), wanted: [output])
        cuts = schedule.cuts
        steps = schedule.descendants(of: edge.node, in: plan)
    }

    /// The values that are read, and not recomputed here; the output itself where the cut does not change it.
    func reads(of plan: Plan) -> [Int] {
        var written: Set<Int> = []
        var reads: [Int] = []
        for position in steps {
            let step = plan.steps[position]
            for (slot, input) in step.inputs.enumerated() {
                guard let input, !written.contains(input) else { continue }
                if !cuts.contains(step.vertex, slot) || plan.graph.values[input].hasDynamicShape {
                    reads.append(input)
                }
            }
            for value in plan.graph.vertices[step.vertex].captured where !written.contains(value) {
                reads.append(value)
            }
            for value in step.outputs { if let value { written.insert(value) } }
        }
        return written.contains(output) ? reads : reads + [output]
    }
}
