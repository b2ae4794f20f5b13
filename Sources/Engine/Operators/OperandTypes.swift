internal import ComputationGraph
internal import Torch

/// What the standard asks of the element types of an operator's operands.
///
/// libtorch would convert others in silence, and what is computed then hangs on which of the operands is removed. Widths are
/// not compared: narrow whole numbers are held in wider types. Source: the type constraints of ONNX's operators.
struct OperandTypes: Hashable {
    /// What the elements may be.
    let kinds: Set<ScalarType.Kind>
    /// The slots that are of one type; `nil` for all.
    var slots: [Int]?

    /// Whole and real numbers.
    static let numbers = OperandTypes(kinds: [.whole, .real])
    static let reals = OperandTypes(kinds: [.real])
    static let truths = OperandTypes(kinds: [.truth])
    static let wholes = OperandTypes(kinds: [.whole])

    /// Anything, of one type.
    static func alike(_ slots: [Int]? = nil) -> OperandTypes {
        OperandTypes(kinds: [.truth, .whole, .real], slots: slots)
    }

    /// Refuses tensors of other types.
    ///
    /// - Throws: `EngineError` that names the vertex, the slot and the type.
    func check(_ inputs: [Tensor?], of vertex: Vertex) throws {
        let types = (slots ?? Array(inputs.indices)).compactMap { slot in
            slot < inputs.count ? inputs[slot].map { (slot, $0.scalarType) } : nil
        }
        guard let (first, type) = types.first else { return }
        func refuse(_ reason: String) -> EngineError {
            .node(index: vertex.index, name: vertex.name, operation: vertex.operation, reason: reason)
        }
        guard kinds.contains(type.kind) else {
            let known = kinds.map(\.rawValue).sorted().joined(separator: " or ")
            throw refuse("input \(first) is \(type), and has to be of \(known)")
        }
        for (slot, other) in types where other.kind != type.kind {
            throw refuse(
                "input \(first) is \(type) and input \(slot) is \(other); they have to be of one type")
        }
    }
}
