internal import ComputationGraph
internal import ONNX
internal import Torch

/// The model prepared for inputs of certain shapes.
///
/// Everything that depends on shapes alone (most of what exporters write around Reshape and Expand) is computed
/// once, here; removing edges never changes a shape. What remains is a list of steps with their kernels.
final class Plan {
    /// A kernel and what it reads: through the input slots of `vertex`, which a mask may remove.
    struct Form {
        let vertex: Int
        let kernel: Kernel
        let inputs: [Int?]
        /// The edges between the vertices that are computed together: none of them may be removed.
        var joints: [Edge] = []
        /// How it is computed into the memory of one of its inputs, if it can be.
        var inPlace: InPlaceForm?
    }

    /// One vertex that has to be computed for every block. By reference: passes go through the steps all the time.
    final class Step {
        let vertex: Int
        /// The vertex by itself.
        let plain: Form
        /// The vertex together with some before it, or by a kernel without derivatives.
        let folded: Form?
        let outputs: [Int?]
        /// Whether the vertex adds its two operands without broadcasting, so that a removed one can be passed over.
        let isPlainAddition: Bool

        init(vertex: Int, plain: Form, folded: Form?, outputs: [Int?], isPlainAddition: Bool) {
            (self.vertex, self.plain, self.folded) = (vertex, plain, folded)
            (self.outputs, self.isPlainAddition) = (outputs, isPlainAddition)
        }
    }

    let graph: Graph
    /// The shapes of the model inputs that the plan was made for, in the order of `graph.inputs`.
    let inputShapes: [[Int]]
    /// In topological order.
    let steps: [Step]
    /// For every vertex, its position in `steps`; `nil` when it is constant.
    let stepOfVertex: [Int?]
    /// Values that are the same for every block.
    let constants: [Tensor?]
    /// The shape of every value that the model computes.
    let shapes: [[Int]?]
    /// The outputs of the unpruned model on the inputs that the plan was made with.
    let probeOutputs: [Tensor]
    /// What its vertices take.
    var efforts: Efforts

    /// Prepares `graph` by running it once, unmasked, on `inputs`.
    ///
    /// - Parameters:
    ///   - weights: the tensor of every initialiser, by value index.
    ///   - foldings: the normalizations that convolutions take in, by vertex.
    ///   - transformed: weights that other plans of the network have transformed already.
    ///   - inputs: one tensor per model input, in the order of `graph.inputs`.
    ///   - fuses: whether layers may be computed together.
    /// - Throws: `EngineError` that names the first node that is not supported or does not fit.
    init(
        graph: Graph, weights: [Tensor?], foldings: [Int: BatchNormFolding] = [:],
        transformed: TransformedWeights = TransformedWeights(), inputs: [Tensor], fuses: Bool = true
    ) throws {
        self.graph = graph
        inputShapes = inputs.map(\.shape)
        var constants = weights
        var values = weights
        var shapes = weights.map { $0?.shape }
        for (port, tensor) in zip(graph.inputs, inputs) {
            values[port.value] = tensor
            shapes[port.value] = tensor.shape
        }
        var pending = graph.consumers.map(\.count)
        var steps: [Step] = []
        var stepOfVertex = [Int?](repeating: nil, count: graph.vertices.count)
        let pinned = Set(graph.outputs.map(\.value))
        for index in graph.order {
            let vertex = graph.vertices[index]
            let kernel = try Plan.kernel(of: vertex, in: graph, constants: constants)
            let results = try Plan.compute(vertex, kernel, vertex.inputs.map { $0.flatMap { values[$0] } })
            var isConstant = true
            for (position, output) in vertex.outputs.enumerated() {
                guard let output else { continue }
                guard position < results.count, let tensor = results[position] else {
                    if graph.consumers[output].isEmpty && !pinned.contains(output) { continue }
                    throw EngineError.node(
                        index: index, name: vertex.name, operation: vertex.operation,
                        reason: "output \(position) is not computed")
                }
                guard Plan.isPlausible(tensor.shape) else {
                    throw EngineError.node(
                        index: index, name: vertex.name, operation: vertex.operation,
                        reason: "output \(position) has the absurd shape \(tensor.shape)")
                }
                shapes[output] = tensor.shape
                values[output] = tensor
                if graph.values[output].dependsOnData || graph.values[output].hasDynamicShape {
                    isConstant = false
                } else {
                    constants[output] = tensor
                }
            }
            if !isConstant {
                stepOfVertex[index] = steps.count
                steps.append(
                    Step(
                        vertex: index,
                        plain: Form(
                            vertex: index, kernel: kernel, inputs: vertex.inputs,
                            inPlace: InPlaceForm(of: vertex, shapes: shapes)),
                        folded: fuses
                            ? try Form(
                                endingIn: vertex,
                                Pattern(
                                    graph: graph, constants: constants, shapes: shapes, foldings: foldings,
                                    transformed: transformed)) : nil,
                        outputs: vertex.outputs,
                        isPlainAddition: Plan.isPlainAddition(vertex, shapes: shapes)))
            }
            // Free what nobody reads any more.
            for input in vertex.inputs {
                guard let input else { continue }
                pending[input] -= 1
                if pending[input] == 0 && !pinned.contains(input) && constants[input] == nil {
                    values[input] = nil
                }
            }
        }
        self.steps = steps
        self.stepOfVertex = stepOfVertex
        self.constants = constants
        self.shapes = shapes
        efforts = Efforts(graph: graph, shapes: shapes)
        probeOutputs = graph.outputs.compactMap { values[$0.value] }
    }

    /// Whether a shape has at most 2^40 elements. An expanded value takes no memory of its own, so its elements could
    /// otherwise be more than an integer counts.
    private static func isPlausible(_ shape: [Int]) -> Bool {
        var count = 1
        for size in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow, product <= 1 << 40 else { return false }
            count = product
        }
        return true
    }

    /// Makes the kernel of a vertex.
    private static func kernel(of vertex: Vertex, in graph: Graph, constants: [Tensor?]) throws -> Kernel {
        guard let builder = Operators.builder(domain: vertex.node.domain, operation: vertex.operation) else {
            let domain = vertex.node.domain.isEmpty ? "" : vertex.node.domain + "."
            throw EngineError.unsupported(
                index: vertex.index, name: vertex.name, operation: domain + vertex.operation)
        }
        guard !vertex.node.domain.isEmpty || Operators.holds(vertex.operation, version: vertex.version)
        else {
            throw EngineError.unsupported(
                index: vertex.index, name: vertex.name,
                operation: "\(vertex.operation) of operator set \(vertex.version)")
        }
        let context = OperatorContext(
            vertex: vertex, constants: vertex.inputs.map { $0.flatMap { constants[$0] } },
            inputTypes: vertex.inputs.map { $0.map { graph.values[$0].elementType } })
        do { return try builder(context) } catch { throw EngineError.stopped(vertex, by: error) }
    }

    /// Runs a kernel; whatever it throws is given the node's name.
    static func compute(_ vertex: @autoclosure () -> Vertex, _ kernel: Kernel, _ inputs: [Tensor?]) throws
        -> [Tensor?]
    {
        do { return try kernel(inputs) } catch { throw EngineError.stopped(vertex(), by: error) }
    }

    private static func isPlainAddition(_ vertex: Vertex, shapes: [[Int]?]) -> Bool {
        guard Operators.traits(of: vertex.operation).zeroIsNeutral, vertex.inputs.count == 2,
            let left = vertex.inputs[0],
            let right = vertex.inputs[1], let output = vertex.outputs[0]
        else { return false }
        return shapes[left] == shapes[output] && shapes[right] == shapes[output]
    }

    /// The bytes that the values of all steps take together: what a base pass keeps at most.
    var activationBytes: Int {
        steps.reduce(0) { sum, step in
            sum + step.outputs.reduce(0) { $0 + ($1.flatMap { shapes[$0] }?.reduce(4, *) ?? 0) }
        }
    }
}
