internal import ComputationGraph
internal import Torch

/// A program ready to run with one version of the parameters: with its fused layers and transformed weights.
final class Specialisation {
    /// A kernel and what it reads: through the input slots of `vertex`, which a mask may remove.
    struct Form {
        let vertex: Int
        let kernel: Kernel
        let inputs: [Int?]
        /// The edges between the vertices that are fused: none of them may be removed.
        var fusedEdges: [Edge] = []
        /// How it is computed into the memory of one of its inputs, if it can be.
        var inPlace: InPlaceForm?

        /// The vertices that are fused, but for the one that it ends in.
        var vertices: Set<Int> { Set([vertex] + fusedEdges.map(\.node)) }
    }

    /// One vertex that has to be computed for every block. By reference: executing goes through the steps all the time.
    final class Step {
        let vertex: Int
        /// The vertex by itself: differentiable, where its operator is.
        let plain: Form
        /// The vertex fused with some before it, or computed by a kernel without a derivative; `plain` is its differentiable
        /// form.
        let fused: Form?
        let outputs: [Int?]
        /// Whether the vertex adds its two operands without broadcasting, so that one that reads zeros can be passed over.
        let isPlainAddition: Bool

        init(vertex: Int, plain: Form, fused: Form?, outputs: [Int?], isPlainAddition: Bool) {
            (self.vertex, self.plain, self.fused) = (vertex, plain, fused)
            (self.outputs, self.isPlainAddition) = (outputs, isPlainAddition)
        }
    }

    let program: Program
    let parameters: Parameters
    /// In topological order, at the places of the program's.
    let steps: [Step]
    /// Values that are the same for every block.
    let constants: [Tensor?]

    /// The model's graph.
    var graph: Graph { program.graph }
    /// The shape of every value that the model computes.
    var shapes: [[Int]?] { program.shapes }

    /// - Parameters:
    ///   - fuses: whether layers may be fused.
    ///   - recordsParameters: whether gradients with respect to the parameters are wanted: nothing is made of their elements
    ///     beforehand, but by operators that are recorded, and layers are fused into such operators alone. Make it under `TorchRuntime.withGradients`, of parameters that
    ///     require gradients.
    ///   - batchNorms: layers that normalise by the batch.
    /// - Throws: `EngineError` that names the node that failed.
    init(
        _ program: Program, _ parameters: Parameters, fuses: Bool = true, recordsParameters: Bool = false,
        batchNorms: BatchNormalisation? = nil
    ) throws {
        self.program = program
        self.parameters = parameters
        let graph = program.graph
        var constants = program.constants
        for (value, tensor) in parameters.tensors.enumerated() { if let tensor { constants[value] = tensor } }
        let settings = program.constants
        func kernel(_ step: Program.Step) throws -> Kernel {
            let vertex = graph.vertices[step.vertex]
            let known = recordsParameters ? settings : constants
            let own =
                try step.kernel
                ?? Program.kernel(
                    of: vertex, in: graph,
                    constants: KnownInputs(vertex.inputs.map { $0.flatMap { known[$0] } }))
            if let batchNorms { return batchNorms.kernel(of: step.vertex, over: own) }
            guard let bias = parameters.addedBiases[step.vertex]?.broadcast else { return own }
            return { inputs in
                var results = try own(inputs)
                results[0] = try results[0].map { try $0 + bias }
                return results
            }
        }
        for step in program.parameterSteps {
            let vertex = graph.vertices[step.vertex]
            func results() throws -> [Tensor?] {
                try Program.compute(vertex, kernel(step), vertex.inputs.map { $0.flatMap { constants[$0] } })
            }
            let values =
                step.isShapeFree && !recordsParameters
                ? try parameters.derived(vertex.outputs, compute: results) : try results()
            for (output, value) in zip(vertex.outputs, values) { if let output { constants[output] = value } }
        }
        var pattern: Pattern?
        if fuses {
            pattern = Pattern(
                graph: graph, constants: constants, shapes: program.shapes,
                normalizations: recordsParameters
                    ? [:] : try parameters.fused.normalizations(in: graph, parameters),
                fused: parameters.fused, addedBiases: parameters.addedBiases, isRecorded: recordsParameters)
        }
        let whole = Set(batchNorms?.layers.map(\.vertex) ?? [])
        steps = try program.steps.map { step in
            let vertex = graph.vertices[step.vertex]
            let form = try pattern.flatMap { try Form(endingIn: vertex, $0) }
            return Step(
                vertex: step.vertex,
                plain: Form(
                    vertex: step.vertex, kernel: try kernel(step), inputs: vertex.inputs,
                    inPlace: step.inPlace),
                fused: form.flatMap { $0.vertices.isDisjoint(with: whole) ? $0 : nil },
                outputs: vertex.outputs, isPlainAddition: step.isPlainAddition)
        }
        self.constants = constants
    }

    /// Of a graph, prepared for inputs of certain shapes.
    ///
    /// - Parameter weights: the tensor of every initialiser, by value index.
    convenience init(graph: Graph, weights: [Tensor?], inputs: [Tensor], fuses: Bool = true) throws {
        let values = graph.parameters
        let program = try Program(graph: graph, weights: weights, parameters: values, inputs: inputs)
        _ = program.takeProbeOutputs()
        try self.init(
            program,
            Parameters(
                weights.indices.map { values.contains($0) ? weights[$0] : nil },
                fused: FusedWeights(fusesNormalizations: false)), fuses: fuses)
    }
}
