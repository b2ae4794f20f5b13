/// The element types of tensors, numbered as libtorch's `ScalarType`.
public enum ScalarType: Int32, Sendable, Hashable {
    case uint8 = 0
    case int8 = 1
    case int16 = 2
    case int32 = 3
    case int64 = 4
    case float16 = 5
    case float32 = 6
    case float64 = 7
    case bool = 11
    case bfloat16 = 15

    /// Bytes per element.
    public var byteSize: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .int16, .float16, .bfloat16: 2
        case .int32, .float32: 4
        case .int64, .float64: 8
        }
    }

    /// What the elements are, whatever their width.
    public enum Kind: String, Sendable {
        case truth = "truth values"
        case whole = "whole numbers"
        case real = "floating-point numbers"
    }

    /// What the elements are, whatever their width.
    public var kind: Kind { self == .bool ? .truth : isFloatingPoint ? .real : .whole }

    /// Whether the elements are floating-point numbers.
    public var isFloatingPoint: Bool {
        switch self {
        case .float16, .float32, .float64, .bfloat16: true
        default: false
        }
    }
}

/// A Swift number type that tensors can hold.
public protocol TensorElement {
    /// The element type of a tensor of such numbers.
    static var scalarType: ScalarType { get }
}

extension Float: TensorElement {
    /// libtorch's type of these elements.
    public static var scalarType: ScalarType { .float32 }
}
extension Double: TensorElement {
    /// libtorch's type of these elements.
    public static var scalarType: ScalarType { .float64 }
}
extension Int: TensorElement {
    /// libtorch's type of these elements.
    public static var scalarType: ScalarType { .int64 }
}
extension Int64: TensorElement {
    /// libtorch's type of these elements.
    public static var scalarType: ScalarType { .int64 }
}
extension Int32: TensorElement {
    /// libtorch's type of these elements.
    public static var scalarType: ScalarType { .int32 }
}
extension UInt8: TensorElement {
    /// libtorch's type of these elements.
    public static var scalarType: ScalarType { .uint8 }
}
extension Bool: TensorElement {
    /// libtorch's type of these elements.
    public static var scalarType: ScalarType { .bool }
}
