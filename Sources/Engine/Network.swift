public import ComputationGraph
public import Datasets
internal import ONNX
internal import Torch

/// A model replica on the tensor engine.
///
/// Holds the parameters once, and a program for each set of input shapes met so far. Stays with the thread that made it.
public final class Network {
    /// The model's graph.
    public let graph: Graph
    /// A removed edge stands for the last of its class: the zeros before that need not be computed, and all members
    /// give the same bits.
    let classes: EquivalenceClasses
    /// The parameters of the model's file.
    public let parameters: Parameters
    /// Initialisers that are no parameters.
    private let settings: [Tensor?]
    private let parameterValues: Set<Int>
    private var programs: [[[Int]]: Program] = [:]
    /// Of the model's own parameters and, at most, one other version: training and refitting go on from version to version.
    private var specialisations: [SpecialisationKey: Specialisation] = [:]
    /// The most programs kept: the full block, the remainders of a few shards, and a probe or two.
    private let programLimit = 8
    /// What runs at other sizes told, by the shapes that they started from.
    var knownSizes: [[[Int]]: SizeKnowledge] = [:]
    var sizeProbings: [[[Int]]: SizeProbing] = [:]

    /// What was refitted on the fit data in use.
    var recoveries: Recoveries?
    /// Weights that variants start from in place of the model's own.
    let startingWeights = StartingWeights()
    /// What the expansions of a recovered state share.
    let shared = SharedActivations()

    /// Loads the weights of `graph`.
    ///
    /// - Parameter fuses: whether convolutions take the normalizations after them in.
    /// - Throws: `EngineError` for an initialiser of an unsupported type.
    public init(_ graph: Graph, fuses: Bool = true) throws {
        self.graph = graph
        classes = EquivalenceClasses(of: graph)
        TorchRuntime.prepare()
        TorchRuntime.limitMemory(to: MemoryPlan.machineBytes / 10 * 9)
        // Images are convolved with the channels innermost: twice as fast or more on CPUs.
        let kernels = Set(
            graph.vertices.compactMap { vertex in
                Operators.traits(of: vertex.operation).channelsLastSlot.flatMap {
                    vertex.inputs.count > $0 ? vertex.inputs[$0] : nil
                }
            })
        let weights: [Tensor?] = try graph.values.enumerated().map { index, value in
            guard let constant = value.constant else { return nil }
            do {
                let tensor = try Tensor(constant)
                return kernels.contains(index) && tensor.rank == 4 ? try tensor.channelsLast() : tensor
            } catch {
                throw EngineError.data("initializer '\(value.name)': \(error)")
            }
        }
        let values = graph.parameters
        parameterValues = values
        settings = weights.indices.map { values.contains($0) ? nil : weights[$0] }
        parameters = Parameters(
            weights.indices.map { values.contains($0) ? weights[$0] : nil },
            fused: FusedWeights(fusesNormalizations: fuses))
    }

    /// Bytes that the weights take, those that are transformed for the engine counted too.
    public var weightBytes: Int {
        parameters.tensors.reduce(0) { $0 + ($1.map { $0.byteCount + FusedWeights.bytes(of: $0) } ?? 0) }
            + settings.reduce(0) { $0 + ($1?.byteCount ?? 0) }
    }

    /// The program for inputs of these shapes, made from them when there is none yet.
    func program(for inputs: [Tensor]) throws -> Program {
        let key = inputs.map(\.shape)
        if let program = programs[key] { return program }
        let program = try unkeptProgram(for: inputs)
        _ = program.takeProbeOutputs()
        if programs.count >= programLimit {
            programs.removeAll()
            specialisations.removeAll()
        }
        programs[key] = program
        return program
    }

    /// A program made for one use.
    func unkeptProgram(for inputs: [Tensor]) throws -> Program {
        try Program(
            graph: graph, weights: zip(settings, parameters.tensors).map { $0 ?? $1 },
            parameters: parameterValues, inputs: inputs)
    }

    /// The program for inputs of these shapes, ready to run.
    ///
    /// - Parameters:
    ///   - version: the parameters to run with; those of the model's file unless given.
    ///   - isKept: whether inputs of these shapes will come again.
    func specialisation(
        for inputs: [Tensor], _ version: Parameters? = nil, isKept: Bool = true
    ) throws -> Specialisation {
        let version = version ?? parameters
        guard isKept else { return try Specialisation(unkeptProgram(for: inputs), version) }
        let key = SpecialisationKey(shapes: inputs.map(\.shape), parameters: ObjectIdentifier(version))
        if let known = specialisations[key] { return known }
        let made = try Specialisation(program(for: inputs), version)
        if version !== parameters {
            specialisations = specialisations.filter {
                $0.value.parameters === version || $0.value.parameters === parameters
            }
        }
        specialisations[key] = made
        return made
    }

    /// The outputs of the unpruned model, layer by layer, in the declared element types: takes no memory but for the
    /// weights and the values in work.
    ///
    /// - Throws: `EngineError` that names the node that failed, or the input that is missing.
    public func runOnce(_ inputs: [String: NumpyArray]) throws -> [(String, NumpyArray)] {
        let outputs = try unkeptProgram(for: tensors(inputs)).takeProbeOutputs()
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

    /// The outputs of the model with the units of `mask` removed, by name and in the declared element types.
    ///
    /// - Parameters:
    ///   - inputs: one array per model input, by name; all samples are computed at once.
    ///   - means: what slots read that the mask replaces by means, by value index.
    ///   - keepsProgram: whether inputs of these shapes will come again.
    /// - Throws: `EngineError` that names the node that failed, or the input that is missing.
    public func run(
        _ inputs: [String: NumpyArray], mask: Mask = .empty, means: [Int: NumpyArray] = [:],
        keepsProgram: Bool = true
    ) throws -> [(String, NumpyArray)] {
        let outputs = try values(
            graph.outputs.map(\.value), of: tensors(inputs), mask: mask, means: Means(arrays: means),
            keepsProgram: keepsProgram)
        return try zip(graph.outputs, outputs).map { port, tensor in
            (port.name, try tensor.array(as: port.elementType))
        }
    }

    /// The outputs of the model with the units of `mask` removed.
    func outputs(of inputs: [Tensor], mask: Mask) throws -> [Tensor] {
        try values(graph.outputs.map(\.value), of: inputs, mask: mask)
    }

    /// Some values of the model with the units of `mask` removed.
    ///
    /// - Parameter parameters: the version to run with; that of the model's file unless given.
    func values(
        _ wanted: [Int], of inputs: [Tensor], mask: Mask, parameters: Parameters? = nil,
        means: Means = Means(), keepsProgram: Bool = true
    ) throws -> [Tensor] {
        let model = try specialisation(for: inputs, parameters, isKept: keepsProgram)
        var activations = Activations(model, inputs: inputs, means: means)
        let kept = Set(wanted)
        try activations.compute(Schedule(model, mask: classes.canonical(mask), wanted: wanted)) {
            kept.contains($0)
        }
        return try wanted.map { value in
            guard let tensor = activations[value] else {
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

private struct SpecialisationKey: Hashable {
    let shapes: [[Int]]
    let parameters: ObjectIdentifier
}

extension Means {
    /// Of arrays, by value index.
    init(arrays: [Int: NumpyArray]) throws { self.init(try arrays.mapValues { try Tensor($0) }) }
}
