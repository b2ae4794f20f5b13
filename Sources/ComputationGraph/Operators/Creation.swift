internal import ONNX

/// Operators that make tensors of attributes and shapes, and those that give shapes.
extension OperatorFacts {
    static let creation: [String: OperatorFacts] = [
        "Bernoulli": OperatorFacts(outputType: { $0.attribute("dtype") }),
        "Constant": OperatorFacts(
            outputType: { constantType($0.node) }, isStored: true, operations: free),
        "ConstantOfShape": OperatorFacts(
            outputType: {
                $0.node.attribute.first { $0.name == "value" }
                    .flatMap { ElementType(rawValue: Int($0.t.dataType)) } ?? .float32
            }, shape: .elements([0]),
            sizes: { tracing, output in
                tracing.given(output.vertex, 0).map { $0.map { $0.isOpen ? $0 : .known } }
            }, list: filledList, operations: free),
        "EyeLike": OperatorFacts(
            outputType: { $0.attribute("dtype") ?? $0.input(0) }, operations: free),
        "Multinomial": OperatorFacts(outputType: { $0.attribute("dtype") }),
        "RandomNormal": OperatorFacts(outputType: { $0.attribute("dtype") }),
        "RandomUniform": OperatorFacts(outputType: { $0.attribute("dtype") }),
        "Range": OperatorFacts(shape: .elements([0, 1, 2]), operations: free),
        "Shape": OperatorFacts(
            outputType: always(.int64), readsOnlyShape: true, listsSizes: true, sizes: { _, _ in [.known] },
            sizeElements: listedSizes, list: listedShape, operations: free,
            simplifications: [Simplification { try $0.rewriteShape($1, $2) }]),
        "Size": OperatorFacts(
            outputType: always(.int64), readsOnlyShape: true, sizes: { _, _ in [] }, operations: free),
    ]

    private static let listedSizes: SizeElementRule = { tracing, vertex in
        guard let sizes = tracing.input(vertex, 0) else { return nil }
        func clamped(_ index: Int) -> Int {
            min(max(index < 0 ? index + sizes.count : index, 0), sizes.count)
        }
        let start = clamped(tracing.int(vertex, "start", 0))
        return Array(sizes[start..<max(start, clamped(tracing.int(vertex, "end", sizes.count)))])
    }

    /// The type of the tensor, number or list that a Constant node has as an attribute.
    private static func constantType(_ node: NodeProto) -> ElementType? {
        guard let attribute = node.attribute.first else { return nil }
        switch attribute.name {
        case "value": return ElementType(rawValue: Int(attribute.t.dataType))
        case "sparse_value": return ElementType(rawValue: Int(attribute.sparseTensor.values.dataType))
        case "value_float", "value_floats": return .float32
        case "value_int", "value_ints": return .int64
        case "value_string", "value_strings": return .string
        default: return nil
        }
    }
}

extension CostTally.StoredTensor {
    /// The tensor of a Constant node; `nil` for one that holds text, or nothing.
    init?(constant node: NodeProto) {
        guard let attribute = node.attribute.first else { return nil }
        switch attribute.name {
        case "value":
            guard let type = ElementType(rawValue: Int(attribute.t.dataType)) else { return nil }
            self.init(elementType: type, shape: attribute.t.dims.map { Int($0) })
        case "sparse_value":
            guard let type = ElementType(rawValue: Int(attribute.sparseTensor.values.dataType)) else {
                return nil
            }
            self.init(elementType: type, shape: attribute.sparseTensor.dims.map { Int($0) })
        case "value_floats": self.init(elementType: .float32, shape: [attribute.floats.count])
        case "value_float": self.init(elementType: .float32, shape: [])
        case "value_ints": self.init(elementType: .int64, shape: [attribute.ints.count])
        case "value_int": self.init(elementType: .int64, shape: [])
        default: return nil
        }
        isInNode = true
    }
}

extension Constant {
    /// The number or list that a Constant node has as an attribute; `nil` for one that has a tensor, or text.
    init?(attributesOf node: NodeProto) throws {
        if let number = try node.float("value_float", default: nil) {
            self.init(.float32, shape: [], [Double(number)])
            return
        }
        if let numbers = try node.floats("value_floats", default: nil) {
            self.init(.float32, shape: [numbers.count], numbers.map(Double.init))
            return
        }
        if let number = try node.int("value_int", default: nil) {
            self.init(.int64, shape: [], [Double(number)])
            return
        }
        if let numbers = try node.ints("value_ints", default: nil) {
            self.init(.int64, shape: [numbers.count], numbers.map(Double.init))
            return
        }
        return nil
    }
}
