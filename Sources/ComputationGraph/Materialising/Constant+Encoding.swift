import FoundationEssentials
internal import ONNX

extension Constant {
    /// The constant as an initialiser's contents.
    ///
    /// - Throws: `GraphError` for element types that constants are not made of (8-bit floats, text, complex numbers).
    func tensorData() throws -> TensorData {
        let bytes: Data
        switch elementType {
        case .float32: bytes = Self.bytes(elements.map { Float($0) })
        case .float64: bytes = Self.bytes(elements)
        case .float16: bytes = Self.bytes(elements.map { Float16($0).bitPattern })
        case .bfloat16: bytes = Self.bytes(elements.map { ElementType.bfloat16Bits($0) })
        case .bool: bytes = Data(elements.map { $0 == 0 ? 0 : 1 })
        case .int64: bytes = Self.bytes(elements.map { Int64(clamping: $0) })
        case .int32: bytes = Self.bytes(elements.map { Int32(clamping: Int64(clamping: $0)) })
        default: throw GraphError.unusable("a constant of type \(elementType.name) cannot be written")
        }
        return try TensorData(elementType: elementType, shape: shape, bytes: bytes)
    }

    private static func bytes<Element: BitwiseCopyable>(_ elements: [Element]) -> Data {
        elements.withUnsafeBytes { Data($0) }
    }
}

extension Int64 {
    /// The nearest representable whole number; 0 for NaN.
    fileprivate init(clamping number: Double) {
        self = number.isNaN ? 0 : number >= 0x1p63 ? .max : number < -0x1p63 ? .min : Int64(number)
    }
}

extension ElementType {
    /// The nearest number that the type has.
    func rounded(_ number: Double) -> Double {
        switch self {
        case .float32: Double(Float(number))
        case .float16: Double(Float16(number))
        case .bfloat16: Double(Float(bitPattern: UInt32(Self.bfloat16Bits(number)) << 16))
        default: number
        }
    }

    /// The nearest bfloat16, ties to even.
    static func bfloat16Bits(_ number: Double) -> UInt16 {
        let bits = Float(number).bitPattern
        if Float(number).isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }
}

extension TensorData {
    /// The positions in `ranges` along `axis`, in order.
    ///
    /// - Throws: `GraphError` for text and 4-bit elements.
    func selecting(_ ranges: [Range<Int>], axis: Int) throws -> TensorData {
        try requireSliceable()
        let inner = shape[(axis + 1)...].reduce(elementType.byteSize, *)
        let row = shape[axis] * inner
        let outer = shape[..<axis].reduce(1, *)
        var kept = Data(capacity: outer * inner * ranges.reduce(0) { $0 + $1.count })
        bytes.withUnsafeBytes { source in
            for block in 0..<outer {
                for range in ranges {
                    kept.append(
                        contentsOf: source[
                            block * row + range.lowerBound * inner..<block * row + range.upperBound * inner])
                }
            }
        }
        var sizes = shape
        sizes[axis] = ranges.reduce(0) { $0 + $1.count }
        return try TensorData(elementType: elementType, shape: sizes, bytes: kept)
    }

    /// - Throws: `GraphError` for text and 4-bit elements.
    func requireSliceable() throws {
        guard elementType != .string, elementType.bitWidth >= 8 else {
            throw GraphError.unusable("weights of type \(elementType.name) cannot be sliced")
        }
    }
}
