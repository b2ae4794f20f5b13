import ComputationGraph
import ONNX
import Torch

@testable import ComputationGraph
@testable import Engine

/// One node, run by itself.
struct OneNode {
    let operation: String
    var version = 17
    var attributes: [AttributeProto] = []
    var outputs = 1
    /// The slots whose tensors the builder knows already.
    var constants: Set<Int> = []

    /// The outputs for the given inputs; `nil` where an optional input is left out.
    func callAsFunction(_ inputs: Tensor?...) throws -> [Tensor] { try self(inputs: inputs) }

    /// The outputs for the given inputs; `nil` where an optional input is left out.
    func callAsFunction(inputs: [Tensor?]) throws -> [Tensor] {
        var node = NodeProto()
        node.opType = operation
        node.attribute = attributes
        let vertex = Vertex(
            index: 0, node: node, version: version,
            inputs: inputs.indices.map { inputs[$0] == nil ? nil : $0 },
            outputs: (0..<outputs).map { inputs.count + $0 }, captured: [])
        let context = OperatorContext(
            vertex: vertex,
            constants: KnownInputs(
                inputs.enumerated().map { constants.contains($0.offset) ? $0.element : nil }))
        guard let builder = Operators.builder(domain: "", operation: operation) else {
            throw EngineError.unsupported(index: 0, name: vertex.name, operation: operation)
        }
        return try Program.compute(vertex, builder(context), inputs).compactMap { $0 }
    }
}

/// The elements of the first output.
func first<Element: TensorElement>(_ outputs: [Tensor], as type: Element.Type = Element.self) throws
    -> [Element]
{
    try outputs[0].elements(as: type)
}
