internal import CTorch

/// An argument of an operator, in the forms that libtorch's schemas know.
public enum Argument {
    /// An optional argument that is absent.
    case none
    /// The default value of the operator's schema.
    case byDefault
    case tensor(Tensor)
    case int(Int)
    case double(Double)
    case bool(Bool)
    case string(String)
    case ints([Int])
    case doubles([Double])
    case bools([Bool])
    case tensors([Tensor])
    case optionalTensors([Tensor?])

    /// The tensor, or an absent optional.
    public static func optional(_ tensor: Tensor?) -> Argument { tensor.map { .tensor($0) } ?? .none }
    /// An element type, as the operators take it.
    public static func type(_ type: ScalarType) -> Argument { .int(Int(type.rawValue)) }
}

extension Argument: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral {
    /// A literal integer.
    public init(integerLiteral value: Int) { self = .int(value) }
    /// A literal number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// A literal flag.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

/// One of libtorch's operators, found once by its schema name and called through the dispatcher.
///
///     static let relu = Operation("aten::relu")
///     let y = try relu(.tensor(x))
public struct Operation: Sendable {
    /// The schema name, with the overload after a dot: `aten::add.Tensor`.
    public let name: String
    /// The operator's place in libtorch's table: never freed, read only, so any thread may use it.
    nonisolated(unsafe) private let found: OpaquePointer?

    /// Looks the operator up. A name that this libtorch does not have is reported by the first call.
    public init(_ name: String) {
        self.name = name
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        var pointer: OpaquePointer?
        _ = ct_find_operator(parts[0], parts.count > 1 ? parts[1] : "", &pointer)
        found = pointer
    }

    /// Calls the operator and returns its first result.
    ///
    /// - Throws: `TorchError` with libtorch's sentence, e.g. when shapes do not fit.
    @discardableResult
    public func callAsFunction(_ arguments: Argument...) throws(TorchError) -> Tensor {
        let results = try call(arguments)
        guard let first = results.first else {
            throw TorchError.refused(operation: name, reason: "returned no tensor")
        }
        return first
    }

    /// Calls the operator and returns all its results, lists flattened.
    ///
    /// - Parameter capacity: the largest number of tensors that it may return.
    public func call(_ arguments: [Argument], capacity: Int = 16) throws(TorchError) -> [Tensor] {
        guard let found else {
            throw TorchError.refused(
                operation: name, reason: "libtorch \(String(cString: ct_version())) has no such operator")
        }
        var frame = ArgumentFrame(arguments)
        let handles = try frame.call(found, named: name, capacity: capacity).get()
        var tensors: [Tensor] = []
        tensors.reserveCapacity(handles.count)
        for handle in handles { tensors.append(try Tensor(owning: handle)) }
        return tensors
    }
}

/// The C form of an argument list. Lists lie end to end in shared storage, so a call allocates little.
private struct ArgumentFrame {
    private var values: [ct_value] = []
    private var integers: [Int64] = []
    private var reals: [Double] = []
    private var tensors: [OpaquePointer?] = []
    private var text: [CChar] = []
    /// Keeps the tensors alive until the call returned.
    private let arguments: [Argument]

    init(_ arguments: [Argument]) {
        self.arguments = arguments
        values.reserveCapacity(arguments.count)
        for argument in arguments { append(argument) }
    }

    private mutating func append(_ argument: Argument) {
        var value = ct_value()
        switch argument {
        case .none: value.kind = CT_NONE
        case .byDefault: value.kind = CT_DEFAULT
        case .tensor(let tensor):
            value.kind = CT_TENSOR
            value.as.tensor = tensor.handle
        case .int(let number):
            value.kind = CT_INT
            value.as.integer = Int64(number)
        case .double(let number):
            value.kind = CT_DOUBLE
            value.as.real = number
        case .bool(let flag):
            value.kind = CT_BOOL
            value.as.integer = flag ? 1 : 0
        // Lists keep their offset in `integer` until the storage has stopped moving.
        case .string(let string):
            let characters = string.utf8.map { CChar(bitPattern: $0) }
            value = list(CT_STRING, characters.count, at: text.count)
            text += characters
        case .ints(let list):
            value = self.list(CT_INTS, list.count, at: integers.count)
            for number in list { integers.append(Int64(number)) }
        case .bools(let list):
            value = self.list(CT_BOOLS, list.count, at: integers.count)
            for flag in list { integers.append(flag ? 1 : 0) }
        case .doubles(let list):
            value = self.list(CT_DOUBLES, list.count, at: reals.count)
            reals += list
        case .tensors(let list):
            value = self.list(CT_TENSORS, list.count, at: tensors.count)
            for tensor in list { tensors.append(tensor.handle) }
        case .optionalTensors(let list):
            value = self.list(CT_OPTIONAL_TENSORS, list.count, at: tensors.count)
            for tensor in list { tensors.append(tensor?.handle) }
        }
        values.append(value)
    }

    private func list(_ kind: ct_kind, _ count: Int, at offset: Int) -> ct_value {
        var value = ct_value()
        value.kind = kind
        value.count = Int64(count)
        value.as.integer = Int64(offset)
        return value
    }

    mutating func call(_ operation: OpaquePointer, named name: String, capacity: Int)
        -> Result<[OpaquePointer], TorchError>
    {
        defer { withExtendedLifetime(arguments) {} }
        return integers.withUnsafeBufferPointer { integers in
            reals.withUnsafeBufferPointer { reals in
                tensors.withUnsafeBufferPointer { tensors in
                    text.withUnsafeBufferPointer { text in
                        for index in values.indices {
                            let offset = Int(values[index].as.integer)
                            switch values[index].kind {
                            case CT_INTS, CT_BOOLS:
                                values[index].as.integers = integers.baseAddress.map { $0 + offset }
                            case CT_DOUBLES: values[index].as.reals = reals.baseAddress.map { $0 + offset }
                            case CT_TENSORS, CT_OPTIONAL_TENSORS:
                                values[index].as.tensors = tensors.baseAddress.map {
                                    UnsafePointer($0 + offset)
                                }
                            case CT_STRING: values[index].as.string = text.baseAddress.map { $0 + offset }
                            default: break
                            }
                        }
                        return invoke(operation, named: name, capacity: capacity)
                    }
                }
            }
        }
    }

    private func invoke(_ operation: OpaquePointer, named name: String, capacity: Int)
        -> Result<[OpaquePointer], TorchError>
    {
        withUnsafeTemporaryAllocation(of: OpaquePointer?.self, capacity: capacity) { results in
            results.initialize(repeating: nil)
            var count: Int32 = 0
            let status = ct_call(
                operation, values, Int32(values.count), results.baseAddress, Int32(capacity), &count)
            if let error = TorchError(status: status, name) { return .failure(error) }
            return .success((0..<Int(count)).compactMap { results[$0] })
        }
    }
}
