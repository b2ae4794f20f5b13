public import ComputationGraph
public import Datasets
internal import ONNX
internal import Torch

/// A model replica on the tensor engine.
///
/// Holds the weights once, and a plan for each set of input shapes met so far. Stays with the thread that made it.
public final class Network {
    /// The model's graph.
    public let graph: Graph
    /// A removed edge stands for the last of its class: the zeros before that need not be computed, and all members
    /// give the same bits.
    let classes: EquivalenceClasses
    private let weights: [Tensor?]
    private let foldings: [Int: BatchNormFolding]
    private let transformed = TransformedWeights()
    private var plans: [[[Int]]: Plan] = [:]
    /// The most plans kept: the full block, the remainders of a few shards, and a probe or two.
    private let planLimit = 8
    /// What runs at other sizes told, by the shapes that they started from.
    var knownSizes: [[[Int]]: SizeKnowledge] = [:]
    var sizeProbings: [[[Int]]: SizeProbing] = [:]

    /// Loads the weights of `graph`.
    ///
    /// - Parameter fuses: whether weights are prepared for layers that are computed together.
    /// - Throws: `EngineError` for an initialiser of an unsupported type.
    public init(_ graph: Graph, fuses: Bool = true) throws {
        self.graph = graph
        classes = EquivalenceClasses(of: graph)
        TorchRuntime.prepare()
        // Images are convolved with the channels innermost: twice as fast or more on CPUs.
        let kernels = Set(
            graph.vertices.compactMap { vertex in
                Operators.traits(of: vertex.operation).channelsLastSlot.flatMap {
                    vertex.inputs.count > $0 ? vertex.inputs[$0] : nil
                }
            })
        weights = try graph.values.enumerated().map { index, value in
            guard let constant = value.constant else { return nil }
            do {
                let tensor = try Tensor(constant)
                return kernels.contains(index) && tensor.rank == 4 ? try tensor.channelsLast() : tensor
            } catch {
                throw EngineError.data("initialiser '\(value.name)': \(error)")
            }
        }
        foldings = fuses ? try BatchNormFolding.all(in: graph, weights: weights) : [:]
    }

    /// Bytes that the weights take, those that are transformed for the engine counted too.
    public var weightBytes: Int {
        weights.reduce(0) { $0 + ($1.map { $0.byteCount + TransformedWeights.bytes(of: $0) } ?? 0) }
    }

    /// The plan for inputs of these shapes, made from them when there is none yet.
    func plan(for inputs: [Tensor]) throws -> Plan {
        let key = inputs.map(\.shape)
        if let plan = plans[key] { return plan }
        let plan = try unkeptPlan(for: inputs)
        if plans.count >= planLimit { plans.removeAll() }
        plans[key] = plan
        return plan
    }

    /// A plan made for one use.
    ///
    /// - Parameter fuses: whether layers may be computed together; without it no weights are transformed.
    func unkeptPlan(for inputs: [Tensor], fuses: Bool = true) throws -> Plan {
        try Plan(
            graph: graph, weights: weights, foldings: fuses ? foldings : [:], transformed: transformed,
            inputs: inputs, fuses: fuses)
    }

    /// The outputs of the unpruned model, layer by layer, in the declared element types: takes no memory but for the
    /// weights and the values in work.
    ///
    /// - Throws: `EngineError` that names the node that failed, or the input that is missing.
    public func runOnce(_ inputs: [String: NumpyArray]) throws -> [(String, NumpyArray)] {
        let outputs = try unkeptPlan(for: tensors(inputs), fuses: false).probeOutputs
        return try zip(graph.outputs, outputs).map { ($0.name, try $1.array(as: $0.elementType)) }
    }

    private func tensors(_ inputs: [String: NumpyArray]) throws -> [Tensor] {
        try graph.inputs.map { port in
            guard let array = inputs[port.name] else {
                throw EngineError.data("there is no input '\(port.name)'")
            }
            return try Tensor(array)
        }
    }

    /// The outputs of the model with the edges of `mask` removed, by name and in the declared element types.
    ///
    /// - Parameters:
    ///   - inputs: one array per model input, by name; all samples are computed at once.
    ///   - keepsPlan: whether inputs of these shapes will come again.
    /// - Throws: `EngineError` that names the node that failed, or the input that is missing.
    public func run(
        _ inputs: [String: NumpyArray], mask: Mask = .empty, keepsPlan: Bool = true
    ) throws -> [(String, NumpyArray)] {
        let outputs = try outputs(of: tensors(inputs), mask: mask, keepsPlan: keepsPlan)
        return try zip(graph.outputs, outputs).map { port, tensor in
            (port.name, try tensor.array(as: port.elementType))
        }
    }

    /// The outputs of the model with the edges of `mask` removed.
    func outputs(of inputs: [Tensor], mask: Mask, keepsPlan: Bool = true) throws -> [Tensor] {
        try values(graph.outputs.map(\.value), of: inputs, mask: mask, keepsPlan: keepsPlan)
    }

    /// Some values of the model with the edges of `mask` removed.
    func values(_ wanted: [Int], of inputs: [Tensor], mask: Mask, keepsPlan: Bool = true) throws -> [Tensor] {
        let plan = try keepsPlan ? plan(for: inputs) : unkeptPlan(for: inputs)
        let schedule = Schedule(plan: plan, mask: classes.canonical(mask), wanted: wanted)
        var pass = Pass(plan: plan, inputs: inputs)
        let kept = Set(wanted)
        try pass.compute(schedule.steps, cuts: schedule.cuts) { kept.contains($0) }
        return try wanted.map { value in
            guard let tensor = pass[value] else {
                throw EngineError.data("output '\(graph.values[value].name)' was not computed")
            }
            return tensor
        }
    }

    /// One tensor per model input, in the model's layout.
    func inputs(_ samples: [Int], of dataset: Dataset) throws -> [Tensor] {
        try graph.inputs.map { try Tensor(dataset.gather(samples, from: $0.name)) }
    }
}
