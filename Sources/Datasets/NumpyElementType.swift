/// The element types that arrays may have, by their NumPy names.
public enum NumpyElementType: String, CaseIterable, Hashable, Sendable {
    case bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64

    /// Reads a type's name as NumPy or ONNX spells it: `float32` or `float`, `float64` or `double`, `bool`, …
    ///
    /// Returns nil for every other name.
    public init?(name: String) {
        switch name.lowercased() {
        case "float": self = .float32
        case "double": self = .float64
        case let other: self.init(rawValue: other)
        }
    }

    /// Bytes per element.
    public var byteWidth: Int {
        switch self {
        case .bool, .int8, .uint8: 1
        case .int16, .uint16, .float16: 2
        case .int32, .uint32, .float32: 4
        case .int64, .uint64, .float64: 8
        }
    }

    /// True for `float16`, `float32` and `float64`.
    public var isFloatingPoint: Bool { self == .float16 || self == .float32 || self == .float64 }

    /// True for the signed and unsigned integers; `bool` is none.
    public var isInteger: Bool { self != .bool && !isFloatingPoint }

    /// The type code within a NumPy descriptor: `f4` in `<f4`.
    var typeCode: String {
        switch self {
        case .bool: "b1"
        case .int8, .int16, .int32, .int64: "i\(byteWidth)"
        case .uint8, .uint16, .uint32, .uint64: "u\(byteWidth)"
        case .float16, .float32, .float64: "f\(byteWidth)"
        }
    }

    /// The descriptor that NumPy writes for little-endian data of this type: `<f4`, `|u1`.
    var descriptor: String { (byteWidth == 1 ? "|" : "<") + typeCode }

    /// Reads a NumPy descriptor such as `<f4` or `>i8`.
    ///
    /// - Throws: `unsupportedElementType` for strings, objects, complex numbers, dates, structured types.
    static func parse(descriptor: String) throws(DatasetError) -> (type: NumpyElementType, bigEndian: Bool) {
        let order = descriptor.first ?? " "
        let code = String(descriptor.dropFirst())
        if "<>|=".contains(order), let type = allCases.first(where: { $0.typeCode == code }) {
            return (type, order == ">" && type.byteWidth > 1)
        }
        let what =
            switch code.first {
            case "S", "U", "a": "text"
            case "O": "Python objects"
            case "c": "complex numbers"
            case "M", "m": "dates or time spans"
            case "V": "raw records (perhaps bfloat16, for which NumPy has no name)"
            default: "of a type that Espalier does not know"
            }
        throw DatasetError(
            .unsupportedElementType,
            "its elements are \(what) (dtype '\(descriptor)'); convert it to bool, an integer or a float type"
        )
    }
}
