import FoundationEssentials

/// Short ways to make the messages that graphs consist of.
extension AttributeProto {
    /// An INT.
    public init(name: String, int: Int) {
        self.init(name: name, type: .int)
        i = Int64(int)
    }

    /// INTS.
    public init(name: String, ints: [Int]) {
        self.init(name: name, type: .ints)
        self.ints = ints.map { Int64($0) }
    }

    /// A FLOAT.
    public init(name: String, float: Float) {
        self.init(name: name, type: .float)
        f = float
    }

    /// FLOATS.
    public init(name: String, floats: [Float]) {
        self.init(name: name, type: .floats)
        self.floats = floats
    }

    /// A STRING.
    public init(name: String, string: String) {
        self.init(name: name, type: .string)
        s = Data(string.utf8)
    }

    /// STRINGS.
    public init(name: String, strings: [String]) {
        self.init(name: name, type: .strings)
        self.strings = strings.map { Data($0.utf8) }
    }

    /// A TENSOR.
    public init(name: String, tensor: TensorProto) {
        self.init(name: name, type: .tensor)
        t = tensor
    }

    /// A GRAPH.
    public init(name: String, graph: GraphProto) {
        self.init(name: name, type: .graph)
        g = graph
    }

    private init(name: String, type: AttributeType) {
        self.init()
        self.name = name
        self.type = type
    }
}

extension NodeProto {
    /// A node that applies `operation`, an operator of ai.onnx unless `domain` says otherwise.
    public init(
        _ operation: String, inputs: [String], outputs: [String], name: String = "", domain: String = "",
        attributes: [AttributeProto] = []
    ) {
        self.init()
        opType = operation
        input = inputs
        output = outputs
        if !name.isEmpty { self.name = name }
        if !domain.isEmpty { self.domain = domain }
        attribute = attributes
    }
}

extension ValueInfoProto {
    /// A dense tensor called `name`.
    /// - Parameter shape: the sizes; nil in it for a size that is not known, nil for a rank that is not.
    public init(name: String, _ elementType: ElementType, shape: [Int?]?) {
        self.init()
        self.name = name
        type.tensorType.elemType = Int32(elementType.rawValue)
        guard let shape else { return }
        type.tensorType.shape = TensorShapeProto()
        type.tensorType.shape.dim = shape.map { size in
            var dimension = TensorShapeProto.Dimension()
            if let size { dimension.dimValue = Int64(size) }
            return dimension
        }
    }

    /// The element type of a dense tensor, nil for other types and unknown ones.
    public var elementType: ElementType? { ElementType(rawValue: Int(type.tensorType.elemType)) }

    /// The sizes of a dense tensor, nil for those that are named or not known; nil if the rank is not known.
    public var shape: [Int?]? {
        guard type.tensorType.hasShape else { return nil }
        return type.tensorType.shape.dim.map { dimension in
            if case .dimValue(let size) = dimension.value { Int(size) } else { nil }
        }
    }
}

extension OperatorSetIdProto {
    /// Version `version` of the operators of `domain`; "" is ai.onnx.
    public init(domain: String, version: Int) {
        self.init()
        self.domain = domain
        self.version = Int64(version)
    }
}
