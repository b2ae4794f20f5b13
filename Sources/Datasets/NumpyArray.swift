/// A dense array in memory: C order (the last dimension varies fastest), little-endian.
///
/// ```swift
/// let images = try NumpyArray(shape: [2, 3], values: [1, 2, 3, 4, 5, 6] as [Float])
/// ```
public struct NumpyArray: Hashable, Sendable {
    /// Length of every dimension; empty for a scalar.
    public let shape: [Int]
    /// The type of every element.
    public let elementType: NumpyElementType
    /// The elements' bytes; `count * elementType.byteWidth` of them.
    public let bytes: [UInt8]

    /// Makes an array of elements that are already laid out.
    ///
    /// - Throws: `shapeMismatch` if `bytes` are not as many as shape and element type need.
    public init(shape: [Int], elementType: NumpyElementType, bytes: [UInt8]) throws(DatasetError) {
        guard let needed = Self.byteCount(shape: shape, elementType: elementType), needed == bytes.count
        else {
            throw DatasetError(
                .shapeMismatch, "\(bytes.count) bytes cannot be an array of \(elementType.rawValue)\(shape)")
        }
        self.init(unchecked: shape, elementType, bytes)
    }

    /// Makes an array from Swift values.
    ///
    /// - Throws: `shapeMismatch` if there are not as many values as the shape says.
    public init<Element: NumpyElement>(shape: [Int], values: [Element]) throws(DatasetError) {
        try self.init(
            shape: shape, elementType: Element.numpyElementType, bytes: values.withUnsafeBytes { [UInt8]($0) }
        )
    }

    /// For callers that have counted already.
    init(unchecked shape: [Int], _ elementType: NumpyElementType, _ bytes: [UInt8]) {
        self.shape = shape
        self.elementType = elementType
        self.bytes = bytes
    }

    /// Number of elements.
    public var count: Int { bytes.count / elementType.byteWidth }

    /// Length of the first dimension, or 1 for a scalar.
    public var rowCount: Int { shape.first ?? 1 }

    /// Elements per entry of the first dimension.
    public var rowElementCount: Int { shape.dropFirst().reduce(1, *) }

    /// Bytes per entry of the first dimension.
    public var rowByteCount: Int { rowElementCount * elementType.byteWidth }

    /// The first `rows` entries of the first dimension (all of them if there are fewer).
    public func prefix(rows: Int) -> NumpyArray {
        guard !shape.isEmpty, rows >= 0, rows < rowCount else { return self }
        return slice(rows: 0..<rows)
    }

    /// Consecutive entries of the first dimension.
    ///
    /// - Precondition: the array is no scalar and `rows` lies within `0..<rowCount`.
    public func slice(rows: Range<Int>) -> NumpyArray {
        precondition(!shape.isEmpty && rows.lowerBound >= 0 && rows.upperBound <= rowCount)
        let width = rowByteCount
        return NumpyArray(
            unchecked: [rows.count] + shape.dropFirst(), elementType,
            Array(bytes[rows.lowerBound * width..<rows.upperBound * width]))
    }

    /// The same elements with dimension `axis` first.
    ///
    /// - Precondition: there is such a dimension.
    func movingToFirst(_ axis: Int) -> NumpyArray {
        let before = shape[..<axis].reduce(1, *)
        let shape = [shape[axis]] + self.shape[..<axis] + self.shape[(axis + 1)...]
        return NumpyArray(unchecked: shape, elementType, exchanging(before, shape[0]))
    }

    /// The same elements with the first dimension in place `axis`.
    ///
    /// - Precondition: there is such a place.
    func movingFirst(to axis: Int) -> NumpyArray {
        let after = shape[1...axis]
        let shape = after + [shape[0]] + self.shape[(axis + 1)...]
        return NumpyArray(unchecked: Array(shape), elementType, exchanging(self.shape[0], after.reduce(1, *)))
    }

    /// The bytes of elements [rows, columns, …] laid out as [columns, rows, …].
    private func exchanging(_ rows: Int, _ columns: Int) -> [UInt8] {
        let width = bytes.count / max(rows * columns, 1)
        guard rows > 1, columns > 1, width > 0 else { return bytes }
        return [UInt8](unsafeUninitializedCapacity: bytes.count) { output, initialized in
            bytes.withUnsafeBytes { source in
                for column in 0..<columns {
                    for row in 0..<rows {
                        let from = (row * columns + column) * width
                        UnsafeMutableRawBufferPointer(
                            rebasing: UnsafeMutableRawBufferPointer(output)[initialized..<initialized + width]
                        ).copyMemory(from: UnsafeRawBufferPointer(rebasing: source[from..<from + width]))
                        initialized += width
                    }
                }
            }
        }
    }

    /// Bytes that an array needs, or nil if that number, or one of its rows, does not fit an `Int`.
    ///
    /// A length of 0 counts as 1 for the overflow check, so that products of some dimensions are safe too.
    static func byteCount(shape: [Int], elementType: NumpyElementType) -> Int? {
        var bound = elementType.byteWidth
        for length in shape {
            let (product, overflow) = bound.multipliedReportingOverflow(by: max(length, 1))
            if overflow || length < 0 { return nil }
            bound = product
        }
        return shape.contains(0) ? 0 : bound
    }
}
