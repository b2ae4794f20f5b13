internal import ONNX

/// What the operator set says about the element types and shapes of outputs.
///
/// Source: the type constraints of ONNX's operator definitions, opsets 7 to 28.
enum ElementRules {
    /// The element type of an output; `nil` when the rules do not tell.
    ///
    /// - Parameter inputs: the type in each input slot.
    static func outputType(of vertex: Vertex, position: Int, inputs: [ElementType?]) -> ElementType? {
        let first = inputs.first ?? nil
        func input(_ slot: Int) -> ElementType? { inputs.indices.contains(slot) ? inputs[slot] : nil }
        func attribute(_ name: String) -> ElementType? {
            vertex.node.attribute.first { $0.name == name }.flatMap { ElementType(rawValue: Int($0.i)) }
        }
        switch vertex.operation {
        case "Shape", "Size", "ArgMax", "ArgMin", "NonZero", "NonMaxSuppression": return .int64
        case "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not", "IsNaN",
            "IsInf":
            return .bool
        case "Cast", "BitCast": return attribute("to")
        case "Attention": return position == 2 ? input(2) : position == 1 ? input(1) : first
        case "RMSNormalization": return input(1)
        case "LinearAttention": return position == 0 ? first : input(3) ?? first
        case "CastLike": return input(1)
        case "Where": return input(1)
        case "OneHot": return input(2)
        case "TopK", "MaxPool": return position == 0 ? first : .int64
        case "Unique": return position == 0 ? first : .int64
        case "Dropout": return position == 0 ? first : .bool
        case "ConstantOfShape":
            return vertex.node.attribute.first { $0.name == "value" }
                .flatMap { ElementType(rawValue: Int($0.t.dataType)) } ?? .float32
        case "Constant": return constantType(vertex.node)
        case "EyeLike": return attribute("dtype") ?? first
        case "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial": return attribute("dtype")
        case "QuantizeLinear", "DynamicQuantizeLinear":
            if vertex.operation == "DynamicQuantizeLinear" { return position == 1 ? .float32 : .uint8 }
            return input(2) ?? attribute("output_dtype") ?? .uint8
        case "DequantizeLinear": return attribute("output_dtype") ?? input(1)
        case "QLinearConv", "QLinearMatMul": return input(7) ?? input(6)
        case "ConvInteger", "MatMulInteger": return .int32
        case "If", "Loop", "Scan": return nil
        default: return first
        }
    }

    /// Whether the size of the output depends on the elements of the input.
    static func shapeFollowsElements(_ operation: String) -> Bool {
        ["NonZero", "Compress", "Unique", "NonMaxSuppression", "If", "Loop", "Scan"].contains(operation)
    }

    /// The input slots whose elements decide the output's shape.
    static func shapeOperands(_ operation: String) -> [Int] {
        switch operation {
        case "Reshape", "Expand", "Tile", "TopK", "OneHot", "Unsqueeze", "Squeeze", "Split", "CenterCropPad",
            "AffineGrid":
            [1]
        case "Pad": [1, 3]
        case "Col2Im": [1, 2]
        case "ConstantOfShape", "HannWindow", "HammingWindow", "BlackmanWindow": [0]
        case "Range": [0, 1, 2]
        case "Slice": [1, 2, 3, 4]
        case "Resize", "Upsample": [1, 2, 3]
        case "MaxUnpool": [2]
        default: []
        }
    }

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
