internal import ComputationGraph
internal import ONNX
internal import Torch

/// The model prepared for inputs of certain shapes. It knows no weights.
///
/// Everything that depends on shapes alone (most of what exporters write around Reshape and Expand) is computed once, here;
/// removing edges never changes a shape, and neither do other parameters. What depends on parameters alone is a parameter
/// step, computed once per version of the parameters; what depends on data is a step, computed for every block.
/// `Specialisation` makes it ready to run.
final class Program {
    /// One vertex that has to be computed.
    struct Step {
        let vertex: Int
        /// Its kernel; `nil` where the builder looked at the elements of a parameter, so that every version has its own.
        let kernel: Kernel?
        /// How it is computed into the memory of one of its inputs, if it can be.
        let inPlace: InPlaceForm?
        /// Whether the vertex adds its two operands without broadcasting, so that one that reads zeros can be passed over.
        let isPlainAddition: Bool
        /// Whether it gives the same for inputs of any shapes.
        let isShapeFree: Bool
    }

    let graph: Graph
    /// The shapes of the model inputs that the program was made for, in the order of `graph.inputs`.
    let inputShapes: [[Int]]
    /// The vertices that depend on data, in topological order.
    let steps: [Step]
    /// The vertices that depend on parameters and not on data, in topological order.
    let parameterSteps: [Step]
    /// Values that are the same for every block and every version of the parameters.
    let constants: [Tensor?]
    /// The shape of every value that the model computes.
    let shapes: [[Int]?]
    /// The element type of every value that the model computes: float32 for all floating-point ones, unless the model is
    /// computed in double precision.
    let scalarTypes: [ScalarType?]
    /// What computing its vertices costs.
    var cost: ComputeCost
    /// The outputs of the unpruned model on the inputs that the program was made with, until they are taken.
    private var probeOutputs: [Tensor]

    /// Prepares `graph` by running it once, unmasked, on `inputs`.
    ///
    /// - Parameters:
    ///   - weights: the tensor of every initialiser, by value index.
    ///   - parameters: which of them are parameters.
    ///   - inputs: one tensor per model input, in the order of `graph.inputs`.
    /// - Throws: `EngineError` that names the first node that is not supported or does not fit.
    init(graph: Graph, weights: [Tensor?], parameters: Set<Int>, inputs: [Tensor]) throws {
        self.graph = graph
        inputShapes = inputs.map(\.shape)
        // What is known before any data, with the parameters and what follows from them.
        var known = weights
        var isParameter = weights.indices.map { parameters.contains($0) }
        var isShapeFree = weights.map { $0 != nil }
        var values = weights
        var shapes = weights.map { $0?.shape }
        var scalarTypes = weights.map { $0?.scalarType }
        for (port, tensor) in zip(graph.inputs, inputs) {
            values[port.value] = tensor
            shapes[port.value] = tensor.shape
            scalarTypes[port.value] = tensor.scalarType
        }
        var pending = graph.consumers.map(\.count)
        // What follows from the file alone is kept: it may not grow beyond all measure.
        var left = weights.reduce(Program.mostFoldedBytes) {
            $0 + Program.mostTimesWeights * ($1?.byteCount ?? 0)
        }
        var (steps, parameterSteps): ([Step], [Step]) = ([], [])
        let pinned = Set(graph.outputs.map(\.value))
        for index in graph.order {
            let vertex = graph.vertices[index]
            let reads = vertex.inputs.compactMap { $0 } + vertex.captured
            let readsElements = !vertex.facts.readsOnlyShape
            let readsParameters = readsElements && reads.contains { isParameter[$0] }
            let constants = KnownInputs(
                vertex.inputs.map { $0.flatMap { known[$0] } },
                watching: readsParameters
                    ? vertex.inputs.indices.filter { vertex.inputs[$0].map { isParameter[$0] } ?? false } : []
            )
            let kernel = try Program.kernel(of: vertex, in: graph, constants: constants)
            let inputs = vertex.inputs.map { $0.flatMap { values[$0] } }
            if vertex.node.domain.isEmpty {
                try Operators.operands(of: vertex.operation)?.check(inputs, of: vertex)
            }
            let results = try Program.compute(vertex, kernel, inputs)
            var dependsOnData = false
            let isFree = reads.allSatisfy { isShapeFree[$0] }
            for (position, output) in vertex.outputs.enumerated() {
                guard let output else { continue }
                guard position < results.count, let tensor = results[position] else {
                    if graph.consumers[output].isEmpty && !pinned.contains(output) { continue }
                    throw EngineError.node(
                        index: index, name: vertex.name, operation: vertex.operation,
                        reason: "output \(position) is not computed")
                }
                guard Program.isPlausible(tensor.shape) else {
                    throw EngineError.node(
                        index: index, name: vertex.name, operation: vertex.operation,
                        reason: "output \(position) has the absurd shape \(tensor.shape)")
                }
                shapes[output] = tensor.shape
                scalarTypes[output] = tensor.scalarType
                values[output] = tensor
                isShapeFree[output] = isFree
                if graph.values[output].dependsOnData || graph.values[output].hasDynamicShape {
                    dependsOnData = true
                } else {
                    known[output] = tensor
                    isParameter[output] = readsParameters
                    left -= tensor.storedBytes
                    guard left >= 0 else {
                        throw EngineError.node(
                            index: index, name: vertex.name, operation: vertex.operation,
                            reason:
                                "what the file's constants lead to takes more memory than a model may have: "
                                + "output \(position) has the shape \(tensor.shape)")
                    }
                }
            }
            if dependsOnData || readsParameters {
                let step = Step(
                    vertex: index, kernel: constants.wereWatchedRead ? nil : kernel,
                    inPlace: dependsOnData ? InPlaceForm(of: vertex, shapes: shapes) : nil,
                    isPlainAddition: dependsOnData && Program.isPlainAddition(vertex, shapes: shapes),
                    isShapeFree: isFree)
                if dependsOnData { steps.append(step) } else { parameterSteps.append(step) }
            }
            // Free what nobody reads any more.
            for input in vertex.inputs {
                guard let input else { continue }
                pending[input] -= 1
                if pending[input] == 0 && !pinned.contains(input) && known[input] == nil {
                    values[input] = nil
                }
            }
        }
        self.steps = steps
        self.parameterSteps = parameterSteps
        constants = known.indices.map { isParameter[$0] ? nil : known[$0] }
        self.shapes = shapes
        self.scalarTypes = scalarTypes
        cost = ComputeCost(graph: graph, shapes: shapes)
        probeOutputs = graph.outputs.compactMap { values[$0.value] }
    }

    /// Bytes that constants may lead to, beside so many times the weights.
    private static let mostFoldedBytes = 1 << 30
    private static let mostTimesWeights = 16

    /// Hands out the outputs of the run that the program was made by; they are not kept.
    func takeProbeOutputs() -> [Tensor] {
        defer { probeOutputs = [] }
        return probeOutputs
    }

    /// Whether a shape has at most 2^40 elements, not counting dimensions of none, and no more dimensions than libtorch takes.
    /// An expanded value takes no memory of its own, so its elements could otherwise be more than an integer counts.
    private static func isPlausible(_ shape: [Int]) -> Bool {
        var count = 1
        for size in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: max(size, 1))
            guard !overflow, product <= 1 << 40 else { return false }
            count = product
        }
        return shape.count <= 64
    }

    /// Makes the kernel of a vertex.
    static func kernel(of vertex: Vertex, in graph: Graph, constants: KnownInputs) throws -> Kernel {
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
            vertex: vertex, constants: constants,
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

    /// The bytes that the values of all steps take together: what the activations of a block are at most.
    var activationBytes: Int {
        steps.reduce(0) { sum, step in
            sum
                + graph.vertices[step.vertex].outputs.reduce(0) { sum, output in
                    sum + (output.flatMap { shapes[$0] }?.reduce(4, *) ?? 0)
                }
        }
    }
}
