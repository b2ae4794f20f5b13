/// Swift types that are stored exactly like a NumPy element type.
public protocol NumpyElement: BitwiseCopyable, Sendable {
    /// The element type of arrays of this Swift type.
    static var numpyElementType: NumpyElementType { get }
}

extension Int8: NumpyElement {
    /// Stored as NumPy\'s `int8`.
    public static var numpyElementType: NumpyElementType { .int8 }
}
extension Int16: NumpyElement {
    /// Stored as NumPy\'s `int16`.
    public static var numpyElementType: NumpyElementType { .int16 }
}
extension Int32: NumpyElement {
    /// Stored as NumPy\'s `int32`.
    public static var numpyElementType: NumpyElementType { .int32 }
}
extension Int64: NumpyElement {
    /// Stored as NumPy\'s `int64`.
    public static var numpyElementType: NumpyElementType { .int64 }
}
extension UInt8: NumpyElement {
    /// Stored as NumPy\'s `uint8`.
    public static var numpyElementType: NumpyElementType { .uint8 }
}
extension UInt16: NumpyElement {
    /// Stored as NumPy\'s `uint16`.
    public static var numpyElementType: NumpyElementType { .uint16 }
}
extension UInt32: NumpyElement {
    /// Stored as NumPy\'s `uint32`.
    public static var numpyElementType: NumpyElementType { .uint32 }
}
extension UInt64: NumpyElement {
    /// Stored as NumPy\'s `uint64`.
    public static var numpyElementType: NumpyElementType { .uint64 }
}
extension Float16: NumpyElement {
    /// Stored as NumPy\'s `float16`.
    public static var numpyElementType: NumpyElementType { .float16 }
}
extension Float: NumpyElement {
    /// Stored as NumPy\'s `float32`.
    public static var numpyElementType: NumpyElementType { .float32 }
}
extension Double: NumpyElement {
    /// Stored as NumPy\'s `float64`.
    public static var numpyElementType: NumpyElementType { .float64 }
}
