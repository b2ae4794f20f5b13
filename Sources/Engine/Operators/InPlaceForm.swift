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
        if let unary = InPlaceForm.unary[vertex.operation], inputs.count == 1 {
            operation = unary
            slots = [0]
        } else if let (binary, candidates) = InPlaceForm.binary[vertex.operation], inputs.count == 2 {
            operation = binary
            slots = candidates.filter { inputs[$0] == shape }
        } else {
            return nil
        }
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

    private static let unary: [String: Operation] = [
        "Abs": Operation("aten::abs_"),
        "Erf": Operation("aten::erf_"),
        "Exp": Operation("aten::exp_"),
        "HardSwish": Operation("aten::hardswish_"),
        "Neg": Operation("aten::neg_"),
        "Relu": Operation("aten::relu_"),
        "Sigmoid": Operation("aten::sigmoid_"),
        "Sqrt": Operation("aten::sqrt_"),
        "Tanh": Operation("aten::tanh_"),
    ]

    /// With the slots that the first operand may come from: both where the operands commute.
    private static let binary: [String: (Operation, [Int])] = [
        "Add": (Operation("aten::add_.Tensor"), [0, 1]),
        "Div": (Operation("aten::div_.Tensor"), [0]),
        "Mul": (Operation("aten::mul_.Tensor"), [0, 1]),
        "Sub": (Operation("aten::sub_.Tensor"), [0]),
    ]
}
