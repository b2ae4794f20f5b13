/// Attributes by name and type: `try node.int("axis", default: -1)`.
///
/// Every reader throws ``ModelError``, naming node and attribute, where the attribute has another type; the ones
/// without `default` also where it is missing.
extension NodeProto {
    /// The operator with its domain, where that is not ai.onnx: `Conv`, `com.microsoft::Gelu`.
    public var qualifiedOperation: String {
        let domain = canonicalDomain(domain)
        return domain.isEmpty ? opType : "\(domain)::\(opType)"
    }

    /// The attribute called `name`, if the node has it.
    public func attribute(_ name: String) -> AttributeProto? {
        attribute.first { $0.name == name }
    }

    /// Whether the node has an attribute called `name`.
    public func hasAttribute(_ name: String) -> Bool {
        attribute.contains { $0.name == name }
    }

    /// The required INT `name`.
    public func int(_ name: String) throws(ModelError) -> Int {
        try required(name, int(name, default: nil))
    }
    /// The INT `name`, or `value` without it.
    public func int(_ name: String, default value: Int) throws(ModelError) -> Int {
        try int(name, default: nil) ?? value
    }
    /// The INT `name`, or `value` without it.
    public func int(_ name: String, default value: Int?) throws(ModelError) -> Int? {
        try found(name, .int).map { Int($0.i) } ?? value
    }

    /// The required INTS `name`.
    public func ints(_ name: String) throws(ModelError) -> [Int] {
        try required(name, ints(name, default: nil))
    }
    /// The INTS `name`, or `values` without it.
    public func ints(_ name: String, default values: [Int]) throws(ModelError) -> [Int] {
        try ints(name, default: nil) ?? values
    }
    /// The INTS `name`, or `values` without it.
    public func ints(_ name: String, default values: [Int]?) throws(ModelError) -> [Int]? {
        try found(name, .ints).map { $0.ints.map { Int($0) } } ?? values
    }

    /// The required FLOAT `name`.
    public func float(_ name: String) throws(ModelError) -> Float {
        try required(name, float(name, default: nil))
    }
    /// The FLOAT `name`, or `value` without it.
    public func float(_ name: String, default value: Float) throws(ModelError) -> Float {
        try float(name, default: nil) ?? value
    }
    /// The FLOAT `name`, or `value` without it.
    public func float(_ name: String, default value: Float?) throws(ModelError) -> Float? {
        try found(name, .float)?.f ?? value
    }

    /// The required FLOATS `name`.
    public func floats(_ name: String) throws(ModelError) -> [Float] {
        try required(name, floats(name, default: nil))
    }
    /// The FLOATS `name`, or `values` without it.
    public func floats(_ name: String, default values: [Float]) throws(ModelError) -> [Float] {
        try floats(name, default: nil) ?? values
    }
    /// The FLOATS `name`, or `values` without it.
    public func floats(_ name: String, default values: [Float]?) throws(ModelError) -> [Float]? {
        try found(name, .floats)?.floats ?? values
    }

    /// The required STRING `name`.
    public func string(_ name: String) throws(ModelError) -> String {
        try required(name, string(name, default: nil))
    }
    /// The STRING `name`, or `value` without it.
    public func string(_ name: String, default value: String) throws(ModelError) -> String {
        try string(name, default: nil) ?? value
    }
    /// The STRING `name`, or `value` without it.
    public func string(_ name: String, default value: String?) throws(ModelError) -> String? {
        try found(name, .string).map { String(decoding: $0.s, as: UTF8.self) } ?? value
    }

    /// The required STRINGS `name`.
    public func strings(_ name: String) throws(ModelError) -> [String] {
        try required(name, strings(name, default: nil))
    }
    /// The STRINGS `name`, or `values` without it.
    public func strings(_ name: String, default values: [String]) throws(ModelError) -> [String] {
        try strings(name, default: nil) ?? values
    }
    /// The STRINGS `name`, or `values` without it.
    public func strings(_ name: String, default values: [String]?) throws(ModelError) -> [String]? {
        try found(name, .strings).map { $0.strings.map { String(decoding: $0, as: UTF8.self) } } ?? values
    }

    /// The required TENSOR `name`, decoded.
    public func tensor(_ name: String) throws(ModelError) -> TensorData {
        try required(name, tensor(name, default: nil))
    }
    /// The TENSOR `name`, decoded, or `value` without it.
    public func tensor(_ name: String, default value: TensorData?) throws(ModelError) -> TensorData? {
        guard let attribute = try found(name, .tensor) else { return value }
        return try locating(node: .init(self), field: "attribute \(quoted(name))") { () throws(ModelError) in
            try TensorData(attribute.t)
        }
    }

    /// The required GRAPH `name`.
    public func graph(_ name: String) throws(ModelError) -> GraphProto {
        try required(name, graph(name, default: nil))
    }
    /// The GRAPH `name`, or `value` without it.
    public func graph(_ name: String, default value: GraphProto?) throws(ModelError) -> GraphProto? {
        try found(name, .graph)?.g ?? value
    }

    /// The graphs in the node's attributes: the bodies of If, Loop and Scan.
    public var subgraphs: [GraphProto] {
        attribute.flatMap { ($0.hasG ? [$0.g] : []) + $0.graphs }
    }

    private func required<Value>(_ name: String, _ value: Value?) throws(ModelError) -> Value {
        guard let value else {
            throw ModelError(.invalid, node: .init(self), field: "attribute \(quoted(name))", "is missing")
        }
        return value
    }

    /// The attribute called `name`, if the node has it, with the type `type`.
    private func found(
        _ name: String, _ type: AttributeProto.AttributeType
    ) throws(ModelError) -> AttributeProto? {
        guard let attribute = attribute(name) else { return nil }
        guard attribute.type == type else {
            throw ModelError(
                .invalid, node: .init(self), field: "attribute \(quoted(name))",
                "is \(attribute.type.title) where \(type.title) is needed")
        }
        return attribute
    }
}

/// The domain as operator sets name it: ai.onnx is the empty one.
func canonicalDomain(_ domain: String) -> String { domain == "ai.onnx" ? "" : domain }

extension AttributeProto.AttributeType {
    /// As a sentence names it.
    var title: String {
        switch self {
        case .undefined: "of no type"
        case .float: "a float"
        case .int: "an integer"
        case .string: "a string"
        case .tensor: "a tensor"
        case .graph: "a graph"
        case .floats: "a list of floats"
        case .ints: "a list of integers"
        case .strings: "a list of strings"
        case .tensors: "a list of tensors"
        case .graphs: "a list of graphs"
        case .sparseTensor: "a sparse tensor"
        case .sparseTensors: "a list of sparse tensors"
        case .typeProto: "a type"
        case .typeProtos: "a list of types"
        }
    }
}
