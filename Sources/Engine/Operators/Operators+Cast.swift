internal import Datasets
internal import FoundationEssentials
internal import ONNX
internal import Torch

private let bitwiseAnd = Operation("aten::bitwise_and.Scalar")
private let shiftLeft = Operation("aten::bitwise_left_shift.Tensor_Scalar")
private let shiftRight = Operation("aten::bitwise_right_shift.Tensor_Scalar")

/// Conversions between element types.
extension Operators {
    nonisolated(unsafe) static let casts = OperatorFamily(
        [
            "BitCast": bitCast,
            "Cast": { context in
                let target = try context.elementType(code: try context.node.int("to"))
                let conversion = try Conversion(context)
                return context.map { try $0.cast(to: target, conversion) }
            },
            "CastLike": { context in
                let conversion = try Conversion(context)
                let declared = context.inputType(1)
                return context.map { input, other in
                    // What the model declares of a value is taken only where it agrees with what the value is.
                    guard let declared, ScalarType(holding: declared) == other.scalarType else {
                        return try input.converted(to: other.scalarType)
                    }
                    return try input.cast(to: declared, conversion)
                }
            },
        ],
        traits: [
            "Cast": .init(since: 6)
        ])

    /// BitCast: the same bits read as another type of the same width.
    private static func bitCast(_ context: OperatorContext) throws -> Kernel {
        let target = try context.elementType(code: try context.node.int("to"))
        guard let source = context.inputType(0) else { throw context.unsupported("of an unknown type") }
        guard source.bitWidth == target.bitWidth else {
            throw context.error("\(source.name) and \(target.name) do not have as many bits")
        }
        for type in [source, target] where type == .float64 || type.bitWidth < 8 {
            throw context.unsupported("of \(type.name), whose bits the engine does not hold")
        }
        return context.map { input in
            let bytes: [UInt8]
            switch source {
            case .bfloat16:
                bytes = try input.elements(as: Float.self).flatMap { number in
                    withUnsafeBytes(of: UInt16(truncatingIfNeeded: number.bitPattern >> 16)) { Array($0) }
                }
            case _ where source.isFloatingPoint && source.bitWidth == 8:
                throw context.unsupported("of \(source.name)")
            default: bytes = try input.array(as: source).bytes
            }
            return try Tensor(TensorData(elementType: target, shape: input.shape, bytes: Data(bytes)))
        }
    }
}

/// How numbers that do not fit a narrower floating-point type are converted.
struct Conversion {
    /// Whether those beyond the largest become that one.
    var saturates = true
    /// Where float8e8m0 rounds to.
    var direction = PowerOfTwo.up
    /// The operator set that says what becomes of infinities.
    var version = 24

    init() {}

    init(_ context: OperatorContext) throws {
        saturates = try context.flag("saturate", default: true)
        direction = try context.choice("round_mode", default: PowerOfTwo.up)
        version = context.version
    }
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
    func cast(to type: ElementType, _ conversion: Conversion = Conversion()) throws -> Tensor {
        if let format = NarrowFormat(type, version: conversion.version) {
            return try rounded(to: format, saturating: conversion.saturates)
        }
        switch type {
        case .float8E8M0: return try rounded(to: conversion.direction, saturating: conversion.saturates)
        case .float16: return try converted(to: .float16).converted(to: .float32)
        case .bfloat16: return try converted(to: .bfloat16).converted(to: .float32)
        case .uint16: return try bitwiseAnd(.tensor(try converted(to: .int32)), .int(0xFFFF))
        case .uint32: return try bitwiseAnd(.tensor(try converted(to: .int64)), .int(0xFFFF_FFFF))
        case .uint4, .uint2:
            return try bitwiseAnd(.tensor(try converted(to: .int32)), .int(1 << type.bitWidth - 1))
                .converted(to: .uint8)
        case .int4, .int2:
            // The sign is the highest of the bits that are left.
            let places = Argument.int(32 - type.bitWidth)
            return try shiftRight(
                .tensor(shiftLeft(.tensor(try converted(to: .int32)), places)), places
            ).converted(to: .int8)
        default: return try converted(to: ScalarType(holding: type) ?? scalarType)
        }
    }
}
