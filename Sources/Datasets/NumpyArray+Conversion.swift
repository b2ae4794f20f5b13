extension NumpyArray {
    /// The elements as `Float`, in C order.
    ///
    /// - Throws: `invalidValue` if a finite float64 overflows, or an integer is not exactly a Float32.
    public func floats() throws(DatasetError) -> [Float] {
        switch elementType {
        case .float32: return values(as: Float.self)
        case .float16: return values(as: Float16.self).map { Float($0) }
        case .float64: return try narrowed(values(as: Double.self)) { Float($0) }
        case .bool: return bytes.map { $0 == 0 ? 0 : 1 }
        default:
            let integers = try int64s()
            if let index = integers.firstIndex(where: { Float(exactly: $0) == nil }) {
                throw DatasetError(
                    .invalidValue, "\(integers[index]) at \(position(index)) is no exact float32")
            }
            return integers.map { Float($0) }
        }
    }

    /// The elements as `Int64`, in C order; `bool` gives 0 and 1.
    ///
    /// - Throws: `elementTypeMismatch` for floating-point arrays, `invalidValue` for a uint64 above 2⁶³ − 1.
    public func int64s() throws(DatasetError) -> [Int64] {
        switch elementType {
        case .int64: return values(as: Int64.self)
        case .int32: return values(as: Int32.self).map { Int64($0) }
        case .int16: return values(as: Int16.self).map { Int64($0) }
        case .int8: return values(as: Int8.self).map { Int64($0) }
        case .uint32: return values(as: UInt32.self).map { Int64($0) }
        case .uint16: return values(as: UInt16.self).map { Int64($0) }
        case .uint8: return bytes.map { Int64($0) }
        case .bool: return bytes.map { $0 == 0 ? 0 : 1 }
        case .uint64:
            let values = values(as: UInt64.self)
            if let index = values.firstIndex(where: { $0 > UInt64(Int64.max) }) {
                throw DatasetError(.invalidValue, "\(values[index]) at \(position(index)) does not fit int64")
            }
            return values.map { Int64($0) }
        case .float16, .float32, .float64:
            throw DatasetError(
                .elementTypeMismatch, "it is \(elementType.rawValue), where integers are needed")
        }
    }

    /// The same values in another type: float to float, or integer to integer.
    ///
    /// - Throws: `elementTypeMismatch` between other types, `invalidValue` for a value that does not fit.
    public func converted(to type: NumpyElementType) throws(DatasetError) -> NumpyArray {
        if type == elementType { return self }
        guard type.isFloatingPoint == elementType.isFloatingPoint, type != .bool, elementType != .bool else {
            throw DatasetError(
                .elementTypeMismatch,
                "it is \(elementType.rawValue), which does not convert to \(type.rawValue)")
        }
        switch type {
        case .float32: return try rebuilt(floats())
        case .float64:
            return try rebuilt(floats().map { Double($0) })
        case .float16:
            return try elementType == .float64
                ? rebuilt(narrowed(values(as: Double.self)) { Float16($0) })
                : rebuilt(narrowed(values(as: Float.self)) { Float16($0) })
        case .int8: return try rebuilt(integers(as: Int8.self))
        case .int16: return try rebuilt(integers(as: Int16.self))
        case .int32: return try rebuilt(integers(as: Int32.self))
        case .int64: return try rebuilt(int64s())
        case .uint8: return try rebuilt(integers(as: UInt8.self))
        case .uint16: return try rebuilt(integers(as: UInt16.self))
        case .uint32: return try rebuilt(integers(as: UInt32.self))
        case .uint64: return try rebuilt(integers(as: UInt64.self))
        case .bool: return self
        }
    }

    /// Index (in C order) of the first NaN or infinity, or nil; always nil for integers.
    public func firstNonFiniteIndex() -> Int? {
        switch elementType {
        case .float16: values(as: UInt16.self).firstIndex { $0 & 0x7C00 == 0x7C00 }
        case .float32: values(as: UInt32.self).firstIndex { $0 & 0x7F80_0000 == 0x7F80_0000 }
        case .float64:
            values(as: UInt64.self).firstIndex { $0 & 0x7FF0_0000_0000_0000 == 0x7FF0_0000_0000_0000 }
        default: nil
        }
    }

    /// The elements as the Swift type that is stored exactly like them.
    ///
    /// - Precondition: `Element` is as wide as the array's elements.
    func values<Element: BitwiseCopyable>(as type: Element.Type) -> [Element] {
        precondition(MemoryLayout<Element>.stride == elementType.byteWidth)
        return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
            initialized = count
        }
    }

    /// Where an element sits, in words: "sample 3, index [0, 5]" or "index []".
    func position(_ index: Int) -> String {
        guard !shape.isEmpty else { return "the scalar" }
        var rest = index
        var indices: [Int] = []
        for length in shape.reversed() {
            indices.insert(rest % max(length, 1), at: 0)
            rest /= max(length, 1)
        }
        return indices.count == 1
            ? "sample \(indices[0])" : "sample \(indices[0]), index \(Array(indices.dropFirst()))"
    }

    private func rebuilt<Element: NumpyElement>(_ values: [Element]) -> NumpyArray {
        NumpyArray(
            unchecked: shape, Element.numpyElementType, values.withUnsafeBytes { [UInt8]($0) })
    }

    private func narrowed<Wide: BinaryFloatingPoint, Narrow: BinaryFloatingPoint>(
        _ values: [Wide], _ narrow: (Wide) -> Narrow
    ) throws(DatasetError) -> [Narrow] {
        let result = values.map(narrow)
        if let index = result.indices.first(where: { !result[$0].isFinite && values[$0].isFinite }) {
            throw DatasetError(
                .invalidValue, "\(values[index]) at \(position(index)) does not fit \(Narrow.self)")
        }
        return result
    }

    private func integers<Integer: FixedWidthInteger>(as type: Integer.Type) throws(DatasetError) -> [Integer]
    {
        let wide = try int64s()
        if let index = wide.firstIndex(where: { Integer(exactly: $0) == nil }) {
            throw DatasetError(
                .invalidValue, "\(wide[index]) at \(position(index)) does not fit \(Integer.self)")
        }
        return wide.map { Integer($0) }
    }
}
