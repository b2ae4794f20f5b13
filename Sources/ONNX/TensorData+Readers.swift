import FoundationEssentials

extension TensorData {
    /// The elements of a floating-point tensor; float64 is rounded to the nearest float32, all others are exact.
    /// - Throws: ``ModelError`` if the elements are no floating-point numbers.
    public var floats: [Float] {
        get throws(ModelError) {
            switch elementType {
            case .float32: return elements()
            case .float64: return elements(as: Double.self) { Float($0) }
            case .float16: return elements(as: UInt16.self) { Float(Float16(bitPattern: $0)) }
            case .bfloat16: return elements(as: UInt16.self, NarrowFloat.bfloat16)
            case .float4E2M1: return packed(bits: 4, NarrowFloat.float4)
            default:
                guard let table = NarrowFloat.float8Table(elementType) else { throw wrongType("float") }
                return elements(as: UInt8.self) { table[Int($0)] }
            }
        }
    }

    /// The elements of a floating-point tensor, exactly.
    /// - Throws: ``ModelError`` if the elements are no floating-point numbers.
    public var doubles: [Double] {
        get throws(ModelError) {
            elementType == .float64 ? elements() : try floats.map(Double.init)
        }
    }

    /// The elements of an integer or bool tensor.
    /// - Throws: ``ModelError`` for any other type, and for a uint64 above `Int64.max`.
    public var int64s: [Int64] {
        get throws(ModelError) {
            switch elementType {
            case .int64: return elements()
            case .int32: return elements(as: Int32.self, Int64.init)
            case .int16: return elements(as: Int16.self, Int64.init)
            case .int8: return elements(as: Int8.self, Int64.init)
            case .uint8: return elements(as: UInt8.self, Int64.init)
            case .bool: return elements(as: UInt8.self) { $0 == 0 ? 0 : 1 }
            case .uint16: return elements(as: UInt16.self, Int64.init)
            case .uint32: return elements(as: UInt32.self, Int64.init)
            case .uint64:
                let values: [UInt64] = elements()
                if let large = values.first(where: { $0 > UInt64(Int64.max) }) {
                    throw ModelError(
                        .unsupported, "has the value \(large), too large for a signed 64-bit integer")
                }
                return values.map { Int64($0) }
            case .int4: return packed(bits: 4) { Int64(Int8(bitPattern: $0 << 4) >> 4) }
            case .uint4: return packed(bits: 4, Int64.init)
            case .int2: return packed(bits: 2) { Int64(Int8(bitPattern: $0 << 6) >> 6) }
            case .uint2: return packed(bits: 2, Int64.init)
            default: throw wrongType("integer")
            }
        }
    }

    /// The elements of a bool tensor.
    /// - Throws: ``ModelError`` for any other type.
    public var bools: [Bool] {
        get throws(ModelError) {
            guard elementType == .bool else { throw wrongType("bool") }
            return elements(as: UInt8.self) { $0 != 0 }
        }
    }

    /// The elements of a string tensor; bytes that are no UTF-8 are replaced.
    /// - Throws: ``ModelError`` for any other type.
    public var strings: [String] {
        get throws(ModelError) {
            guard elementType == .string else { throw wrongType("string") }
            return stringBytes.map { String(decoding: $0, as: UTF8.self) }
        }
    }

    private func wrongType(_ wanted: String) -> ModelError {
        ModelError(.invalid, "has elements of type \(elementType.name), not \(wanted)")
    }

    /// The elements as they are.
    private func elements<Element: BitwiseCopyable>() -> [Element] {
        Array(unsafeUninitializedCapacity: count) { buffer, initialized in
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
            initialized = count
        }
    }

    /// Each stored element, converted.
    private func elements<Stored: BitwiseCopyable, Element>(
        as stored: Stored.Type, _ convert: (Stored) -> Element
    ) -> [Element] {
        bytes.withUnsafeBytes { (raw: UnsafeRawBufferPointer) in
            Array(unsafeUninitializedCapacity: count) { buffer, initialized in
                for index in 0..<count {
                    let element = raw.loadUnaligned(
                        fromByteOffset: index * MemoryLayout<Stored>.size, as: Stored.self)
                    buffer.initializeElement(at: index, to: convert(element))
                }
                initialized = count
            }
        }
    }

    /// Each element of 2 or 4 bits, in the lowest bits of a byte, converted. The first of a byte lies lowest.
    private func packed<Element>(bits: Int, _ convert: (UInt8) -> Element) -> [Element] {
        let (perByte, mask) = (8 / bits, UInt8(1 << bits - 1))
        return bytes.withUnsafeBytes { (raw: UnsafeRawBufferPointer) in
            (0..<count).map { convert(raw[$0 / perByte] >> ($0 % perByte * bits) & mask) }
        }
    }
}
