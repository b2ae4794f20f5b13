internal import FoundationEssentials
internal import Datasets
internal import ONNX
internal import Torch

extension Torch.ScalarType {
    /// How the engine holds elements of an ONNX type: floating point in float32, unsigned integers in the next
    /// larger signed type that libtorch has; `nil` for types without a tensor form (strings, complex).
    init?(holding type: ONNX.ElementType) {
        switch type {
        case .float32, .float64, .float16, .bfloat16, .float8E4M3FN, .float8E4M3FNUZ, .float8E5M2,
            .float8E5M2FNUZ, .float8E8M0, .float4E2M1:
            self = .float32
        case .int8, .int4, .int2: self = .int8
        case .uint8, .uint4, .uint2: self = .uint8
        case .int16: self = .int16
        case .int32, .uint16: self = .int32
        case .int64, .uint32, .uint64: self = .int64
        case .bool: self = .bool
        case .string, .complex64, .complex128: return nil
        }
    }
}

extension Tensor {
    /// The engine's tensor for an array of the model file.
    ///
    /// - Throws: `EngineError` for an element type that has no tensor form.
    convenience init(_ data: TensorData) throws {
        guard let type = ScalarType(holding: data.elementType) else {
            throw EngineError.data("tensors of \(data.elementType.name) are not supported")
        }
        switch data.elementType {
        case .float32, .int8, .uint8, .int16, .int32, .int64, .bool:
            let made = try data.bytes.withUnsafeBytes {
                try Tensor(bytes: $0, shape: data.shape, scalarType: type)
            }
            try self.init(sharing: made)
        case _ where data.elementType.isFloatingPoint:
            try self.init(data.floats, shape: data.shape)
        default:
            let integers = try data.int64s
            try self.init(sharing: Tensor(integers, shape: data.shape).converted(to: type))
        }
    }

    /// The engine's tensor for an array of data.
    convenience init(_ array: NumpyArray) throws {
        switch array.elementType {
        case .float32: try self.init(array, as: .float32)
        case .float16, .float64: try self.init(array.floats(), shape: array.shape)
        case .bool: try self.init(array, as: .bool)
        case .int8: try self.init(array, as: .int8)
        case .uint8: try self.init(array, as: .uint8)
        case .int16: try self.init(array, as: .int16)
        case .int32: try self.init(array, as: .int32)
        case .int64: try self.init(array, as: .int64)
        case .uint16:
            try self.init(sharing: Tensor(array.int64s(), shape: array.shape).converted(to: .int32))
        case .uint32: try self.init(array.int64s(), shape: array.shape)
        case .uint64:
            // Beyond 2⁶³ the bits wrap around, as libtorch has no such type.
            try self.init(array, as: .int64)
        }
    }

    private convenience init(_ array: NumpyArray, as type: ScalarType) throws {
        let made = try array.bytes.withUnsafeBytes {
            try Tensor(bytes: $0, shape: array.shape, scalarType: type)
        }
        try self.init(sharing: made)
    }

    /// The array of this tensor's elements in an ONNX element type.
    ///
    /// - Throws: `EngineError` when NumPy has no such type.
    func array(as type: ONNX.ElementType) throws -> NumpyArray {
        func made<Element: NumpyElement>(_ elements: [Element]) throws -> NumpyArray {
            try NumpyArray(shape: shape, values: elements)
        }
        switch type {
        case .float32, .bfloat16, .float8E4M3FN, .float8E4M3FNUZ, .float8E5M2, .float8E5M2FNUZ, .float8E8M0,
            .float4E2M1:
            return try made(elements(as: Float.self))
        case .float64: return try made(elements(as: Double.self))
        case .float16: return try made(elements(as: Float.self).map { Float16($0) })
        case .bool:
            return try NumpyArray(shape: shape, elementType: .bool, bytes: converted(to: .bool).bytes())
        case .int8, .int4, .int2: return try made(elements(as: Int.self).map { Int8(truncatingIfNeeded: $0) })
        case .int16: return try made(elements(as: Int.self).map { Int16(truncatingIfNeeded: $0) })
        case .int32: return try made(elements(as: Int32.self))
        case .int64: return try made(elements(as: Int64.self))
        case .uint8, .uint4, .uint2:
            return try made(elements(as: Int.self).map { UInt8(truncatingIfNeeded: $0) })
        case .uint16: return try made(elements(as: Int.self).map { UInt16(truncatingIfNeeded: $0) })
        case .uint32: return try made(elements(as: Int.self).map { UInt32(truncatingIfNeeded: $0) })
        case .uint64: return try made(elements(as: Int.self).map { UInt64(bitPattern: Int64($0)) })
        case .string, .complex64, .complex128:
            throw EngineError.data("outputs of \(type.name) are not supported")
        }
    }
}
