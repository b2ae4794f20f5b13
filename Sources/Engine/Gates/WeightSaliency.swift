public import ComputationGraph
public import Datasets
internal import ONNX
internal import Torch

/// Scores of edges by the weights alone: no labels, and of the data nothing but its shapes.
public struct WeightSaliency {
    private let network: Network
    private let model: Specialisation
    private let inputs: [Tensor]
    private let state: Mask

    /// - Parameters:
    ///   - dataset: tells the shapes of the inputs.
    ///   - state: what is removed already.
    /// - Throws: `EngineError` when the model does not run on the data.
    public init(_ network: Network, dataset: Dataset, state: Mask = .empty) throws {
        self.network = network
        self.state = network.classes.canonical(state)
        let samples = network.graph.fixedSamples(dataset) ?? 1
        inputs = try network.graph.inputs.map {
            try Tensor(dataset.gather((0..<samples).map { $0 % dataset.samples }, from: $0.name))
        }
        model = try network.specialisation(for: inputs)
    }

    /// The magnitude of each edge: the L2 norm of the weights that feed it.
    ///
    /// Those are the weights of the nearest layers before the edge, through layers that have none; where the edge
    /// carries an input itself, the weights of the nearest layers that read it. Li et al., "Pruning filters for
    /// efficient ConvNets", 2017, section 3.1, for whole layers and with the L2 norm.
    public func magnitudes(of edges: [Edge]) throws -> [Double] {
        var squares: [Int: Double] = [:]
        return try edges.map { edge in
            var weights = network.graph.value(on: edge).map { feeding($0) } ?? []
            if weights.isEmpty { weights = reading(edge.node) }
            return try weights.sorted().reduce(0.0) { sum, value in
                if let known = squares[value] { return sum + known }
                let elements = try model.constants[value]?.elements(as: Double.self) ?? []
                let square = elements.reduce(0) { $0 + $1 * $1 }
                squares[value] = square
                return sum + square
            }.squareRoot()
        }
    }

    /// The weights of a vertex: constant matrices, kernels and tables of layers that multiply by them.
    private func weights(of index: Int) -> [Int] {
        let vertex = network.graph.vertices[index]
        guard vertex.facts.hasWeights else { return [] }
        return vertex.inputs.compactMap { $0 }.filter { value in
            model.constants[value].map { $0.scalarType.isFloatingPoint && $0.rank >= 2 } ?? false
        }
    }

    /// The weights of the nearest layers that a value is computed by.
    private func feeding(_ value: Int) -> Set<Int> {
        let graph = network.graph
        var found: Set<Int> = []
        var seen: Set<Int> = []
        var frontier = [value]
        while let next = frontier.popLast() {
            guard let producer = graph.values[next].producer, seen.insert(producer).inserted else { continue }
            let own = weights(of: producer)
            found.formUnion(own)
            if own.isEmpty {
                frontier += graph.vertices[producer].inputs.compactMap { $0 }.filter {
                    graph.values[$0].dependsOnData
                }
            }
        }
        return found
    }

    /// The weights of the nearest layers from a vertex on.
    private func reading(_ vertex: Int) -> Set<Int> {
        let graph = network.graph
        var found: Set<Int> = []
        var seen: Set<Int> = [vertex]
        var frontier = [vertex]
        while let next = frontier.popLast() {
            let own = weights(of: next)
            found.formUnion(own)
            guard own.isEmpty else { continue }
            for output in graph.vertices[next].outputs {
                for reader in output.map({ graph.consumers[$0] }) ?? []
                where seen.insert(reader.node).inserted {
                    frontier.append(reader.node)
                }
            }
        }
        return found
    }
}

extension WeightSaliency {
    /// The synaptic flow of each edge: its gate's derivative of R, the sum of the outputs for an input of ones when
    /// every weight is replaced by its magnitude.
    ///
    /// Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", 2020,
    /// equation 2 and algorithm 1: their saliency ∂R/∂θ ⊙ θ, summed over the weights that read the edge, is the gate
    /// derivative. As in theirs, biases count as weights and double precision keeps deep products finite. Token
    /// inputs are all token 1. Numbers beyond 10³⁰ in magnitude are masks and no weights, scalars are settings: both
    /// stay as they are.
    ///
    /// - Returns: one score per edge; `nil` where it is not finite or no gradient comes back.
    public func synapticFlow(of edges: [Edge]) throws -> [Double?] {
        do { return try synapticFlow(of: edges, type: .float64) } catch {
            // Models that convert to single precision on the way cannot be computed in double precision.
            return try synapticFlow(of: edges, type: .float32)
        }
    }

    private func synapticFlow(of edges: [Edge], type: ScalarType) throws -> [Double?] {
        let graph = network.graph
        let weights = try graph.values.map { value in
            try value.constant.map { try magnitude(of: Tensor($0), type: type) }
        }
        let ones = try inputs.map { input in
            try Tensor.filled(
                1, shape: input.shape, type: input.scalarType.isFloatingPoint ? type : input.scalarType)
        }
        let positive = try Specialisation(graph: graph, weights: weights, inputs: ones, fuses: false)
        let gates = try Gates(on: edges, axes: edges.map { _ in nil }, samples: 1, type: type)
        let total = try TorchRuntime.withGradients {
            var activations = Activations(positive, inputs: ones)
            let wanted = graph.outputs.map(\.value)
            try activations.compute(wanted, mask: state, recording: Activations.Recording(gates: gates))
            var total: Tensor?
            for output in wanted {
                guard let tensor = activations[output], tensor.scalarType.isFloatingPoint else { continue }
                let sum = try tensor.summed(over: Array(0..<tensor.rank))
                total = try total.map { try $0 + sum } ?? sum
            }
            return total
        }
        guard let total, try total.isRecorded else { return edges.map { _ in nil } }
        return try Tensor.gradients(of: [total], withRespectTo: gates.leaves).map { gradient in
            guard let score = try gradient?.item(as: Double.self), score.isFinite else { return nil }
            return score
        }
    }

    private func magnitude(of constant: Tensor, type: ScalarType) throws -> Tensor {
        guard constant.scalarType.isFloatingPoint else { return constant }
        let wide = try constant.converted(to: type)
        let isMask = try constant.elements(as: Float.self).contains { !($0.magnitude <= 1e30) }
        return constant.rank == 0 || isMask ? wide : try wide.magnitudes()
    }
}
