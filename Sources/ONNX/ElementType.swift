/// The type of a tensor's elements, with ONNX's codes (`TensorProto.DataType`).
public enum ElementType: Int, Sendable, CaseIterable, Hashable {
    /// IEEE 754 binary32.
    case float32 = 1
    /// Unsigned, 8 bits.
    case uint8 = 2
    /// Signed, 8 bits.
    case int8 = 3
    /// Unsigned, 16 bits.
    case uint16 = 4
    /// Signed, 16 bits.
    case int16 = 5
    /// Signed, 32 bits.
    case int32 = 6
    /// Signed, 64 bits.
    case int64 = 7
    /// UTF-8 text.
    case string = 8
    /// One byte, 0 or 1.
    case bool = 9
    /// IEEE 754 binary16.
    case float16 = 10
    /// IEEE 754 binary64.
    case float64 = 11
    /// Unsigned, 32 bits.
    case uint32 = 12
    /// Unsigned, 64 bits.
    case uint64 = 13
    /// Two binary32: real, imaginary.
    case complex64 = 14
    /// Two binary64: real, imaginary.
    case complex128 = 15
    /// The upper half of a binary32.
    case bfloat16 = 16
    /// 4 exponent bits, 3 mantissa bits; NaN, no infinity.
    case float8E4M3FN = 17
    /// As ``float8E4M3FN``, exponent bias 8, one NaN, no negative zero.
    case float8E4M3FNUZ = 18
    /// 5 exponent bits, 2 mantissa bits; as IEEE 754.
    case float8E5M2 = 19
    /// As ``float8E5M2``, exponent bias 16, one NaN, no infinity, no negative zero.
    case float8E5M2FNUZ = 20
    /// Unsigned, 4 bits, two to a byte.
    case uint4 = 21
    /// Signed, 4 bits, two to a byte.
    case int4 = 22
    /// 2 exponent bits, 1 mantissa bit, two to a byte; neither NaN nor infinity.
    case float4E2M1 = 23
    /// A power of two: 8 exponent bits, nothing else; one NaN.
    case float8E8M0 = 24
    /// Unsigned, 2 bits, four to a byte.
    case uint2 = 25
    /// Signed, 2 bits, four to a byte.
    case int2 = 26

    /// The type with ONNX's code `code`.
    /// - Throws: ``ModelError`` if the code is 0 (undefined) or none that Espalier knows.
    public init(onnx code: Int32) throws(ModelError) {
        guard let type = ElementType(rawValue: Int(code)) else {
            throw ModelError(
                .unsupported,
                code == 0 ? "has no element type" : "has element type \(code), which Espalier does not know")
        }
        self = type
    }

    /// Bits of one element; 0 for strings.
    public var bitWidth: Int {
        switch self {
        case .string: 0
        case .uint2, .int2: 2
        case .uint4, .int4, .float4E2M1: 4
        case .uint8, .int8, .bool, .float8E4M3FN, .float8E4M3FNUZ, .float8E5M2, .float8E5M2FNUZ, .float8E8M0:
            8
        case .uint16, .int16, .float16, .bfloat16: 16
        case .float32, .int32, .uint32: 32
        case .float64, .int64, .uint64, .complex64: 64
        case .complex128: 128
        }
    }

    /// Bytes of one element: 1 for types of fewer than 8 bits (see ``byteCount(ofElements:)``), 0 for strings.
    public var byteSize: Int { (bitWidth + 7) / 8 }

    /// Bytes that `count` elements take as ONNX's raw data; nil if that overflows.
    public func byteCount(ofElements count: Int) -> Int? {
        if bitWidth > 0 && bitWidth < 8 {
            let perByte = 8 / bitWidth
            return count / perByte + (count % perByte == 0 ? 0 : 1)
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: byteSize)
        return overflow ? nil : bytes
    }

    /// Whether elements are real floating-point numbers.
    public var isFloatingPoint: Bool {
        switch self {
        case .float32, .float64, .float16, .bfloat16, .float8E4M3FN, .float8E4M3FNUZ, .float8E5M2,
            .float8E5M2FNUZ, .float8E8M0, .float4E2M1:
            true
        default: false
        }
    }

    /// Whether elements are whole numbers; a bool is none.
    public var isInteger: Bool {
        switch self {
        case .uint8, .int8, .uint16, .int16, .int32, .int64, .uint32, .uint64, .uint4, .int4, .uint2, .int2:
            true
        default: false
        }
    }

    /// NumPy's (or ml_dtypes') name, e.g. `float32`.
    public var name: String {
        switch self {
        case .float8E4M3FN: "float8_e4m3fn"
        case .float8E4M3FNUZ: "float8_e4m3fnuz"
        case .float8E5M2: "float8_e5m2"
        case .float8E5M2FNUZ: "float8_e5m2fnuz"
        case .float8E8M0: "float8_e8m0fnu"
        case .float4E2M1: "float4_e2m1fn"
        default: String(describing: self)
        }
    }
}

/// The number of elements of a tensor with the shape `dims`.
/// - Throws: ``ModelError`` if a size is negative or the product overflows, even where another size is 0.
func elementCount(ofDims dims: some Sequence<Int64>) throws(ModelError) -> Int {
    var product = 1
    var isEmpty = false
    for dim in dims {
        guard dim >= 0 else { throw ModelError(.invalid, "has a dimension of \(dim)") }
        if dim == 0 { isEmpty = true }
        let (next, overflow) = product.multipliedReportingOverflow(by: Int(max(dim, 1)))
        guard !overflow else { throw ModelError(.invalid, "has more elements than can be counted") }
        product = next
    }
    return isEmpty ? 0 : product
}
