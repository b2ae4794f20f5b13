internal import ONNX
internal import Torch

private let bitwiseAnd = Operation("aten::bitwise_and.Scalar")

/// Conversions between element types.
extension Operators {
    nonisolated(unsafe) static let casts: [String: OperatorBuilder] = [
        "Cast": { context in
            let target = try context.elementType(code: try context.node.int("to"))
            let saturates = try context.flag("saturate", default: true)
            return context.map { try $0.cast(to: target, saturating: saturates) }
        },
        // The engine's element types tell enough: narrower ones are rounded to when the outputs are.
        "CastLike": { context in context.map { try $0.converted(to: $1.scalarType) } },
    ]
}

extension OperatorContext {
    /// The element type with ONNX's number `code`.
    ///
    /// - Throws: `EngineError.unsupported` for a type that the engine does not compute with.
    func elementType(code: Int) throws -> ElementType {
        guard let type = ElementType(rawValue: code) else { throw error("there is no element type \(code)") }
        guard ScalarType(holding: type) != nil else { throw unsupported("to \(type.name)") }
        return type
    }
}

extension Tensor {
    /// The elements as ONNX converts them to `type`, in the type that the engine holds those in.
    ///
    /// Numbers are rounded to the narrower floating-point types, truncated to whole numbers, and wrapped where they
    /// do not fit, as in C.
    ///
    /// - Parameter saturating: whether numbers beyond an 8-bit floating-point type become its largest one.
    func cast(to type: ElementType, saturating: Bool = true) throws -> Tensor {
        if let format = NarrowFormat(type) {
            return try rounded(to: format, saturating: saturating)
        }
        switch type {
        case .float16: return try converted(to: .float16).converted(to: .float32)
        case .bfloat16: return try converted(to: .bfloat16).converted(to: .float32)
        case .uint16: return try bitwiseAnd(.tensor(try converted(to: .int32)), .int(0xFFFF))
        case .uint32: return try bitwiseAnd(.tensor(try converted(to: .int64)), .int(0xFFFF_FFFF))
        default: return try converted(to: ScalarType(holding: type) ?? scalarType)
        }
    }
}
