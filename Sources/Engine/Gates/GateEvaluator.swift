public import ComputationGraph
public import Datasets
internal import Torch

/// The gate gradients of one block.
///
/// A gate z_e multiplies the value that edge e carries; removing the edge sets it from 1 to 0. So ∂L/∂z_e is the
/// first Taylor term of keeping the edge, and −∂L/∂z_e the predicted change of removing it (Molchanov et al.,
/// "Importance Estimation for Neural Network Pruning", CVPR 2019, section 3.1). Where the edge feeds a layer that is
/// linear in its weights, −∂L/∂z_e = gᵀΔw for the Δw that zeroes the weights which read the edge.
public struct GateGradients: Sendable {
    /// Σ_n w_n ∂l_n/∂z_e over the block, by edge; `nil` where no gradient comes back.
    public let totals: [Double?]
    /// ∂l_n/∂z_e by edge and sample, unweighted; `nil` as a whole where samples cannot be told apart in one pass and
    /// nobody asked for them, and for edges without gradient.
    public let perSample: [[Double]?]?
}

/// Computes gate gradients and curvatures of a set of edges, block by block, through libtorch's autograd.
///
/// Stays with the thread that made it. Deterministic: the same block gives the same bits.
public final class GateEvaluator {
    let network: Network
    let dataset: Dataset
    let terms: LossTerms
    let axes: SampleAxes
    /// The edges that have gates, in the order of all results.
    public let edges: [Edge]
    /// What is removed already.
    let state: Mask
    let means: Means
    private var live: Set<Int>?

    /// - Parameters:
    ///   - dataset: the samples that blocks are made of.
    ///   - edges: candidates of the network's graph, without repetition.
    ///   - state: what is removed already: gradients are those of the pruned model.
    ///   - means: what slots read that the state replaces by means, by value index.
    /// - Throws: `EngineError` when the model does not run on the data, `GraphError` for an edge that is no candidate.
    public init(
        _ network: Network, dataset: Dataset, loss: LossDescription, edges: [Edge], state: Mask = .empty,
        means: [Int: NumpyArray] = [:]
    ) throws {
        for edge in edges { try network.graph.requireCandidate(edge) }
        self.network = network
        self.dataset = dataset
        self.edges = edges
        self.state = network.classes.canonical(state)
        self.means = try Means(arrays: means)
        terms = try LossTerms(loss, graph: network.graph, dataset: dataset)
        axes = try SampleAxes(of: network, dataset: dataset)
    }

    /// Of a loss of the model's first output.
    public convenience init(
        _ network: Network, dataset: Dataset, loss: Loss, edges: [Edge], state: Mask = .empty
    ) throws {
        try self.init(
            network, dataset: dataset, loss: LossDescription(loss, of: network.graph), edges: edges,
            state: state)
    }

    /// The samples' dimension of the value on each edge.
    var edgeAxes: [Int?] { edges.map { edge in network.graph.value(on: edge).flatMap { axes[$0] } } }

    /// The gate gradients of all edges, from one forward and one backward pass.
    ///
    /// Where a value has no dimension of samples (they are folded into another one) and `perSample` is asked for, the
    /// samples are passed one by one.
    ///
    /// - Parameters:
    ///   - samples: indices into the data set, in the order of the block.
    ///   - weights: one per sample.
    /// - Throws: `EngineError`, or `TorchError` where an operator has no derivative.
    public func gradients(samples: [Int], weights: [Float], perSample: Bool = false) throws -> GateGradients {
        let axes = edgeAxes
        let canTellApart = samples.count == 1 || !axes.contains { $0 == nil }
        if canTellApart { return try gradients(samples, weights, axes: axes) }
        guard perSample else {
            let block = try block(samples, axes: edges.map { _ in nil })
            let loss = try block.weightedLoss(weights)
            let found = try derivatives(of: loss, withRespectTo: block.gates.leaves)
            let totals = try found.map { try $0?.item(as: Double.self) }
            return GateGradients(totals: settled(totals, without: 0), perSample: nil)
        }
        var columns = [[Double]?](repeating: [], count: edges.count)
        for (sample, weight) in zip(samples, weights) {
            let single = try gradients([sample], [weight], axes: axes)
            for (position, column) in (single.perSample ?? []).enumerated() {
                columns[position] = column.flatMap { values in columns[position].map { $0 + values } }
            }
        }
        return GateGradients(totals: GateEvaluator.totals(columns, weights), perSample: columns)
    }

    private func gradients(_ samples: [Int], _ weights: [Float], axes: [Int?]) throws -> GateGradients {
        let block = try block(samples, axes: axes)
        let loss = try TorchRuntime.withGradients { try block.losses.summed(over: [0]) }
        let columns = try derivatives(of: loss, withRespectTo: block.gates.leaves).map { gradient in
            try gradient?.elements(as: Double.self)
        }
        let known = settled(columns, without: samples.map { _ in 0 })
        return GateGradients(totals: GateEvaluator.totals(known, weights), perSample: known)
    }

    /// Gradients, where those of edges into layers that the state leaves unused are `zero`: nothing depends on them.
    func settled<Gradient>(_ gradients: [Gradient?], without zero: Gradient) -> [Gradient?] {
        zip(edges, gradients).map { edge, gradient in
            gradient ?? (live.map { !$0.contains(edge.node) } == true ? zero : nil)
        }
    }

    private static func totals(_ columns: [[Double]?], _ weights: [Float]) -> [Double?] {
        columns.map { column in
            column.map { zip($0, weights).reduce(0) { $0 + $1.0 * Double($1.1) } }
        }
    }

    /// The recorded pass of a block.
    ///
    /// - Parameter axes: for each edge, the samples' dimension of its value, or `nil` for a gate that they share.
    func block(_ samples: [Int], axes: [Int?]) throws -> GatedBlock {
        let inputs = try inputs(samples)
        let gates = try Gates(on: edges, axes: axes, samples: samples.count)
        let start = try activations(of: inputs)
        if live == nil && !state.isEmpty {
            let schedule = Schedule(start.model, mask: state, wanted: terms.outputs, isFused: false)
            live = Set(schedule.steps.map { start.model.steps[$0].vertex })
        }
        return try GatedBlock(
            start, gates: gates, state: state, terms: terms,
            compared: terms.block(samples) {
                try network.values(terms.outputs, of: inputs, mask: .empty)
            })
    }

    /// Nothing computed yet.
    func activations(of inputs: [Tensor]) throws -> Activations {
        Activations(try network.specialisation(for: inputs), inputs: inputs, means: means)
    }

    /// One tensor per model input.
    func inputs(_ samples: [Int]) throws -> [Tensor] { try network.inputs(samples, of: dataset) }
}

/// A block's recorded pass: everything that can be differentiated.
struct GatedBlock {
    let gates: Gates
    /// What each term of the loss is of.
    let outputs: [Tensor]
    /// The loss of every sample, [N].
    let losses: Tensor
    private let terms: LossTerms
    private let compared: LossTerms.Block

    init(
        _ start: Activations, gates: Gates, state: Mask, terms: LossTerms, compared: LossTerms.Block
    ) throws {
        self.gates = gates
        self.terms = terms
        self.compared = compared
        (outputs, losses) = try TorchRuntime.withGradients {
            var activations = start
            try activations.compute(
                terms.outputs, mask: state, recording: Activations.Recording(gates: gates))
            let outputs = try terms.outputs.map { value in
                guard let output = activations[value] else {
                    throw EngineError.data(
                        "the model's output '\(start.model.graph.values[value].name)' was not computed")
                }
                return output
            }
            return (outputs, try terms.losses(outputs, against: compared))
        }
    }

    /// The loss that one term gives for another output of its own, of every sample, [N].
    func losses(of term: Int, for output: Tensor) throws -> Tensor {
        try terms.losses(of: term, output, against: compared)
    }

    /// Σ_n w_n l_n, recorded.
    func weightedLoss(_ weights: [Float]) throws -> Tensor { try weighted(losses, weights) }

    /// Σ_n w_n l_n of per-sample losses, recorded.
    func weighted(_ losses: Tensor, _ weights: [Float]) throws -> Tensor {
        try TorchRuntime.withGradients {
            try (losses * Tensor(weights).converted(to: losses.scalarType)).summed(over: [0])
        }
    }
}
