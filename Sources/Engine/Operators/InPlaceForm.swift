internal import ComputationGraph
internal import ONNX
internal import Torch

/// How an elementwise vertex is computed into the memory of one of its inputs.
///
/// The numbers are those of the kernel; a new tensor and the pass over fresh memory are saved. Whether an input may be
/// overwritten is for the pass to know: nothing else may read it.
struct InPlaceForm {
    /// The input slots whose memory the result may take.
    let slots: [Int]
    private let operation: Operation
    private let output: [Int]

    /// The form of a vertex; `nil` where there is none.
    init?(of vertex: Vertex, shapes: [[Int]?]) {
        guard vertex.node.domain.isEmpty, vertex.outputs.count == 1, let result = vertex.outputs[0],
            let shape = shapes[result]
        else { return nil }
        let inputs = vertex.inputs.map { $0.flatMap { shapes[$0] } }
        guard let inPlace = Operators.traits(of: vertex.operation).inPlace, inputs.count == inPlace.operands
        else { return nil }
        operation = inPlace.operation
        // The only operand has the result's shape; one of two may be broadcast to it.
        slots = inputs.count == 1 ? inPlace.slots : inPlace.slots.filter { inputs[$0] == shape }
        output = shape
        if slots.isEmpty { return nil }
    }

    /// Whether the result in `target`'s memory lies as a new tensor would. Its layout follows the operands': both lie
    /// alike, or the other is broadcast and has no layout of its own.
    func fits(_ target: Tensor, _ others: [Tensor?]) -> Bool {
        guard target.scalarType == .float32, target.shape == output else { return false }
        return others.allSatisfy { other in
            guard let other, other.scalarType == .float32 else { return false }
            return target.hasLayout(of: other) || other.shape.count(where: { $0 > 1 }) <= 1
                || other.count < target.count && other.isContiguous && target.isContiguous
        }
    }

    /// Overwrites `target`.
    ///
    /// - Throws: `EngineError` that names the node.
    func callAsFunction(_ target: Tensor, _ others: [Tensor], _ vertex: Vertex) throws {
        do {
            _ = try operation.call([.tensor(target)] + others.map { .tensor($0) })
        } catch { throw EngineError.stopped(vertex, by: error) }
    }
}
