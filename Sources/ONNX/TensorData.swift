public import FoundationEssentials

#if _endian(big)
    #error("ONNX's raw data is little endian, and this code takes it as it is")
#endif

/// A dense tensor's elements: type, shape, and ONNX's raw data (row major, little endian).
///
/// `bytes` is shared with the message that the tensor was decoded from, where the encodings agree: a large
/// weight is copied only when somebody changes it.
public struct TensorData: Sendable, Equatable {
    /// The elements' type.
    public let elementType: ElementType
    /// The sizes, outermost first; empty for a scalar.
    public let shape: [Int]
    /// The elements; 4-bit types two to a byte, the first one low. Empty for strings.
    public let bytes: Data
    /// The elements of a string tensor, as they are in the file; empty for any other type.
    public let stringBytes: [Data]

    /// The number of elements.
    public var count: Int { shape.reduce(1, *) }

    /// A tensor of any type but string from its raw data.
    /// - Parameters:
    ///   - shape: sizes, outermost first.
    ///   - bytes: row major, little endian.
    /// - Throws: ``ModelError`` if sizes are negative or overflow, or `bytes` has another size than they say.
    public init(elementType: ElementType, shape: [Int], bytes: Data) throws(ModelError) {
        let count = try elementCount(ofDims: shape.lazy.map(Int64.init))
        guard elementType != .string, let expected = elementType.byteCount(ofElements: count),
            bytes.count == expected
        else {
            throw ModelError(
                .malformed,
                "has \(bytes.count) bytes where \(elementType.name) of shape \(shape) needs "
                    + "\(elementType.byteCount(ofElements: count).map(String.init) ?? "more than can be counted")"
            )
        }
        self.init(unchecked: elementType, shape: shape, bytes: bytes)
    }

    /// A tensor of strings.
    /// - Throws: ``ModelError`` if there are not as many strings as `shape` says.
    public init(strings: [String], shape: [Int]) throws(ModelError) {
        let count = try elementCount(ofDims: shape.lazy.map(Int64.init))
        guard strings.count == count else { throw ModelError.count(strings.count, shape: shape) }
        self.init(unchecked: .string, shape: shape, stringBytes: strings.map { Data($0.utf8) })
    }

    /// A float32 tensor.
    /// - Throws: ``ModelError`` if there are not as many values as `shape` says.
    public init(floats: [Float], shape: [Int]) throws(ModelError) {
        guard floats.count == (try elementCount(ofDims: shape.lazy.map(Int64.init))) else {
            throw ModelError.count(floats.count, shape: shape)
        }
        self.init(unchecked: .float32, shape: shape, bytes: floats.littleEndianBytes)
    }

    /// An int64 tensor.
    /// - Throws: ``ModelError`` if there are not as many values as `shape` says.
    public init(int64s: [Int64], shape: [Int]) throws(ModelError) {
        guard int64s.count == (try elementCount(ofDims: shape.lazy.map(Int64.init))) else {
            throw ModelError.count(int64s.count, shape: shape)
        }
        self.init(unchecked: .int64, shape: shape, bytes: int64s.littleEndianBytes)
    }

    /// For callers in this target that have checked that everything agrees.
    init(unchecked elementType: ElementType, shape: [Int], bytes: Data = Data(), stringBytes: [Data] = []) {
        self.elementType = elementType
        self.shape = shape
        self.bytes = bytes
        self.stringBytes = stringBytes
    }
}

extension ModelError {
    /// There are `count` values for `shape`.
    static func count(_ count: Int, shape: [Int]) -> ModelError {
        ModelError(.malformed, "has \(count) elements where shape \(shape) needs \(shape.reduce(1, *))")
    }
}

extension Array where Element: BitwiseCopyable {
    /// The elements as they lie in memory.
    var littleEndianBytes: Data { withUnsafeBytes { Data($0) } }
}
