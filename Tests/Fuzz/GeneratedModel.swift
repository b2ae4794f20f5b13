import Foundation
import ONNX

/// A small model that bytes describe: mostly one that could be, so that what comes after the reading of a file is
/// reached, and now and then something in it that cannot be.
///
/// Three bytes choose input, data and how many outputs there are. Each node then takes a byte for its operator, one for
/// each slot and one for each attribute. What is missing is 0, which is a sensible choice everywhere.
struct GeneratedModel {
    /// What the model reads, as `x`.
    enum Input: Int, CaseIterable {
        case vector, image, sequence, tokens

        /// The sizes of one sample.
        var sizes: [Int] {
            switch self {
            case .vector, .tokens: [4]
            case .image: [4, 6, 6]
            case .sequence: [3, 4]
            }
        }
    }

    /// What an operator reads in a slot.
    enum Slot {
        /// The latest values first.
        case value
        /// A weight whose rank and sizes follow from the byte.
        case weight
        /// A filter of a convolution.
        case filter
        /// A weight of 4 numbers, such as a bias.
        case vector
        /// A list of whole numbers, such as axes or a shape.
        case integers
        /// One number.
        case number
        /// Left out.
        case none
    }

    /// What an attribute holds.
    enum Kind {
        case integer, integers, number, text([String]), tensor
    }

    /// An operator as the exporters write it.
    struct Operator {
        let name: String
        let slots: [Slot]
        let attributes: [(String, Kind)]
        let outputs: Int
    }

    let input: Input
    /// Whether the data have labels.
    let isLabelled: Bool
    /// A byte for whatever is to be chosen later.
    let choice: Int
    private(set) var model = ModelProto()

    private var bytes: Data
    private var values = ["x"]
    private var weights: [TensorProto] = []
    private var count = 0

    init(_ bytes: Data) {
        self.bytes = bytes
        let kind = self.bytes.popFirst() ?? 0
        input = Input.allCases[Int(kind) % Input.allCases.count]
        isLabelled = kind & 4 != 0
        choice = Int(self.bytes.popFirst() ?? 0)
        let shown = 1 + Int(self.bytes.popFirst() ?? 0) % 3
        var nodes: [NodeProto] = []
        while !self.bytes.isEmpty, nodes.count < 24 { nodes.append(node()) }
        let sizes: [Int?] = [nil] + input.sizes.map { $0 }
        model.irVersion = 10
        model.opsetImport = [OperatorSetIdProto(domain: "", version: choice & 1 == 0 ? 17 : 21)]
        model.graph.name = "fuzz"
        model.graph.node = nodes
        model.graph.initializer = weights
        model.graph.input = [
            ValueInfoProto(name: "x", input == .tokens ? .int64 : .float32, shape: sizes)
        ]
        model.graph.output = values.suffix(shown).map { ValueInfoProto(name: $0, .float32, shape: nil) }
    }

    /// The model with every value among its outputs.
    var modelOfAllValues: ModelProto {
        var all = model
        all.graph.output = values.dropFirst().map { ValueInfoProto(name: $0, .float32, shape: nil) }
        return all
    }

    private mutating func byte() -> Int { Int(bytes.popFirst() ?? 0) }

    private mutating func node() -> NodeProto {
        let made = GeneratedModel.operators[byte() % GeneratedModel.operators.count]
        var inputs = made.slots.map { name(for: $0, byte()) }
        while inputs.last?.isEmpty == true { inputs.removeLast() }
        var attributes: [AttributeProto] = []
        for (name, kind) in made.attributes {
            let chosen = byte()
            if chosen < 250 {
                attributes += attribute(name, kind, chosen).map { [$0] } ?? []
            } else {
                // Something that this attribute never is.
                attributes.append(AttributeProto(name: name, string: "\(chosen)"))
            }
        }
        count += 1
        let outputs = (0..<made.outputs).map { "v\(count)" + ($0 == 0 ? "" : ".\($0)") }
        values += outputs.reversed()
        return NodeProto(
            made.name, inputs: inputs, outputs: outputs, name: "n\(count)", attributes: attributes)
    }

    private mutating func name(for slot: Slot, _ byte: Int) -> String {
        switch slot {
        case .value:
            // Nobody computes it, or it comes later.
            if byte >= 250 { return "v\(count + byte - 248)" }
            return values[values.count - 1 - byte % values.count]
        case .weight:
            if byte >= 128 { return values[values.count - 1 - byte % values.count] }
            return weight(GeneratedModel.shapes[byte % GeneratedModel.shapes.count], seed: byte)
        case .filter:
            let size = [1, 3, 2][byte % 3]
            let (written, read) = ([4, 2, 8][byte / 3 % 3], [4, 1, 2][byte / 9 % 3])
            return weight([written, read, size, size], seed: byte)
        case .vector:
            if byte == 255 { return "" }
            return weight(byte < 200 ? [4] : [byte % 9], seed: byte)
        case .integers:
            if byte == 255 { return "" }
            return constant(GeneratedModel.lists[byte % GeneratedModel.lists.count])
        case .number:
            if byte >= 240 { return "" }
            let numbers: [Float] = [1, 0, 2, -1, 0.5, .infinity, .nan, 1e30]
            return weight([], values: [numbers[byte % numbers.count]])
        case .none: return ""
        }
    }

    private mutating func weight(_ shape: [Int], seed: Int) -> String {
        let total = shape.reduce(1, *)
        return weight(shape, values: (0..<total).map { Float(($0 * 7 + seed) % 13 - 6) / 8 })
    }

    private mutating func weight(_ shape: [Int], values: [Float]) -> String {
        var tensor = TensorProto()
        tensor.name = "w\(weights.count)"
        tensor.dims = shape.map(Int64.init)
        tensor.dataType = Int32(ElementType.float32.rawValue)
        tensor.floatData = values
        weights.append(tensor)
        return tensor.name
    }

    private mutating func constant(_ list: [Int64]) -> String {
        var tensor = TensorProto()
        tensor.name = "w\(weights.count)"
        tensor.dims = [Int64(list.count)]
        tensor.dataType = Int32(ElementType.int64.rawValue)
        tensor.int64Data = list
        weights.append(tensor)
        return tensor.name
    }

    /// The attribute that a byte stands for; `nil` where it is left out.
    private func attribute(_ name: String, _ kind: Kind, _ byte: Int) -> AttributeProto? {
        // Left out: the default.
        guard byte != 0 else { return nil }
        switch kind {
        case .integer:
            let numbers = [1, 0, -1, 2, 3, -2, 4, 7, 6, 9, 11, 10, Int(Int32.max), Int.min, Int.max, -4]
            return AttributeProto(name: name, int: numbers[byte % numbers.count])
        case .integers:
            return AttributeProto(
                name: name, ints: GeneratedModel.lists[byte % GeneratedModel.lists.count].map { Int($0) })
        case .number:
            let numbers: [Float] = [1, 0, 0.5, 1e-5, -1, 2, .nan, .infinity, 1e30]
            return AttributeProto(name: name, float: numbers[byte % numbers.count])
        case .text(let texts): return AttributeProto(name: name, string: texts[byte % texts.count])
        case .tensor:
            var tensor = TensorProto()
            tensor.dims = [1]
            tensor.dataType = Int32(ElementType.float32.rawValue)
            tensor.floatData = [Float(byte)]
            return AttributeProto(name: name, tensor: tensor)
        }
    }

    private static let shapes = [
        [4, 4], [4], [1], [], [4, 8], [8, 4], [4, 4, 4], [1, 4, 4], [4, 1, 1], [1, 4, 1, 1], [3, 4], [6],
        [4, 2], [0],
        [2, 4, 4], [1, 16, 4], [1, 12, 4], [1, 32], [10, 4], [1, 4],
    ]
    private static let lists: [[Int64]] = [
        [1], [0], [-1], [2], [1, 2], [2, 3], [0, 1], [0, -1], [-1, 4], [1, 1], [2, 2], [3, 3], [1, 1, 1, 1],
        [0, 0, 1, 1], [0, 2, 1], [0, 2, 3, 1], [1, 0], [0, 1, 2, 3], [0, 4, -1], [0, 2, 2, -1], [2, 2, 2, 2],
        [],
        [-1, 1, 1, 4], [0, 0, 0, 0, 0, 0, 1, 1], [1 << 20], [1 << 40, 1 << 40], [-5], [.min], [.max], [0, 0],
        [4, 4], [2, 1, 1], [1, 3], [5, 6, 7, 8], [1, 1, 2, 2], [0, 1, -2, 3], [3, 1], [1, 4, 6, 6],
    ]

    private static func of(
        _ name: String, _ slots: [Slot] = [.value], _ attributes: [(String, Kind)] = [], outputs: Int = 1
    ) -> Operator {
        Operator(name: name, slots: slots, attributes: attributes, outputs: outputs)
    }

    /// The operators, some of every family.
    static let operators: [Operator] = {
        let window: [(String, Kind)] = [
            ("kernel_shape", .integers), ("strides", .integers), ("pads", .integers),
            ("dilations", .integers),
            ("ceil_mode", .integer), ("auto_pad", .text(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])),
        ]
        let convolution: [(String, Kind)] =
            [("group", .integer)] + window.filter { $0.0 != "ceil_mode" } + [("output_padding", .integers)]
        let axis: [(String, Kind)] = [("axis", .integer)]
        let kept: [(String, Kind)] = [("keepdims", .integer)]
        let recurrent: [(String, Kind)] = [
            ("hidden_size", .integer), ("layout", .integer),
            ("direction", .text(["forward", "reverse", "bidirectional"])),
        ]
        let unary = [
            "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Neg", "Abs", "Identity", "Softplus",
            "HardSwish",
            "Floor", "Sign", "Reciprocal", "Round", "Sin", "Not", "IsNaN", "NonZero", "Size", "Gelu", "Mish",
            "GlobalAveragePool", "GlobalMaxPool", "DynamicQuantizeLinear",
        ].map { of($0) }
        let binary = [
            "Add", "Sub", "Mul", "Div", "Pow", "Mod", "MatMul", "Equal", "Less", "GreaterOrEqual", "And",
            "PRelu",
        ].flatMap { [of($0, [.value, .value]), of($0, [.value, .weight])] }
        let reductions = ["ReduceMax", "ReduceL2", "ReduceProd", "ReduceLogSumExp"].map {
            of($0, [.value], [("axes", .integers)] + kept)
        }
        return unary + binary + reductions + [
            of("Max", [.value, .value, .value]), of("Min", [.value, .value]),
            of("Sum", [.value, .value, .value]),
            of("ReduceSum", [.value, .integers], kept),
            of("ReduceMean", [.value], [("axes", .integers)] + kept),
            of(
                "Gemm", [.value, .weight, .vector],
                [("alpha", .number), ("beta", .number), ("transB", .integer)]),
            of("Conv", [.value, .filter, .vector], convolution),
            of("ConvTranspose", [.value, .filter, .vector], convolution),
            of("MaxPool", [.value], window),
            of("AveragePool", [.value], window + [("count_include_pad", .integer)]),
            of("BatchNormalization", [.value, .vector, .vector, .vector, .vector], [("epsilon", .number)]),
            of("LayerNormalization", [.value, .vector, .vector], axis + [("epsilon", .number)]),
            of("InstanceNormalization", [.value, .vector, .vector], [("epsilon", .number)]),
            of(
                "GroupNormalization", [.value, .vector, .vector],
                [("num_groups", .integer), ("epsilon", .number)]),
            of("LRN", [.value], [("size", .integer), ("alpha", .number)]),
            of("Softmax", [.value], axis), of("LogSoftmax", [.value], axis), of("Flatten", [.value], axis),
            of("LeakyRelu", [.value], [("alpha", .number)]), of("Clip", [.value, .number, .number]),
            of("Transpose", [.value], [("perm", .integers)]), of("Cast", [.value], [("to", .integer)]),
            of("Shape", [.value], [("start", .integer), ("end", .integer)]),
            of("Reshape", [.value, .integers], [("allowzero", .integer)]), of("Reshape", [.value, .value]),
            of("Unsqueeze", [.value, .integers]), of("Squeeze", [.value, .integers]),
            of("Expand", [.value, .integers]),
            of("Tile", [.value, .integers]), of("Concat", [.value, .value, .value], axis),
            of("Split", [.value, .integers], axis, outputs: 2),
            of("Slice", [.value, .integers, .integers, .integers, .integers]),
            of(
                "Pad", [.value, .integers, .number],
                [("mode", .text(["constant", "reflect", "edge", "wrap"]))]),
            of("Where", [.value, .value, .value]), of("Gather", [.value, .integers], axis),
            of("Gather", [.weight, .value], axis), of("GatherElements", [.value, .value], axis),
            of("GatherND", [.value, .integers], [("batch_dims", .integer)]),
            of("ScatterElements", [.value, .value, .value], axis),
            of("ScatterND", [.value, .integers, .value]), of("OneHot", [.value, .number, .vector], axis),
            of("CumSum", [.value, .integers], [("reverse", .integer)]),
            of("Trilu", [.value], [("upper", .integer)]),
            of("TopK", [.value, .integers], axis + [("largest", .integer)], outputs: 2),
            of("ArgMax", [.value], axis + kept),
            of(
                "Resize", [.value, .none, .none, .integers],
                [("mode", .text(["nearest", "linear", "cubic"]))]),
            of("Resize", [.value, .none, .vector], [("mode", .text(["nearest", "linear", "cubic"]))]),
            of("DepthToSpace", [.value], [("blocksize", .integer)]),
            of("SpaceToDepth", [.value], [("blocksize", .integer)]),
            of(
                "Einsum", [.value, .value],
                [("equation", .text(["ij,ij->ij", "ij,kj->ik", "...i,...i", "i,j", "bij,bjk"]))]),
            of("LSTM", [.value, .weight, .weight, .weight], recurrent, outputs: 3),
            of("GRU", [.value, .weight, .weight, .weight], recurrent, outputs: 2),
            of("QuantizeLinear", [.value, .number], axis), of("DequantizeLinear", [.value, .number], axis),
            of("ConstantOfShape", [.integers], [("value", .tensor)]),
            of("ConstantOfShape", [.value], [("value", .tensor)]),
            of("Range", [.number, .number, .number]), of("Dropout", [.value, .number]),
            of("EyeLike", [.value]),
        ]
    }()
}
