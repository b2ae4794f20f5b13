import ONNX
import Testing
import Torch

@testable import Engine

/// The derivative of every operator that has one, held against central differences, in double precision where its kernel has it.
@Suite("Operators' derivatives")
struct OperatorGradientTests {
    /// What an input is made of.
    enum Operand: Sendable {
        /// Random numbers of a shape, float64, that gradients are wanted of.
        case reals([Int], ClosedRange<Double> = -2...2)
        /// Whole numbers, which have no derivative.
        case whole([Int], [Int64])
        /// Truth values.
        case truths([Int], [Bool])
        /// Numbers that the operator knows beforehand.
        case fixed([Int], [Double])
        /// An optional input that is left out.
        case none
    }

    /// An operator with its inputs.
    struct Case: Sendable, CustomTestStringConvertible {
        let operation: String
        let attributes: [Setting]
        let inputs: [Operand]
        var outputs = 1
        var version = 17

        var testDescription: String { operation }

        init(
            _ operation: String, _ attributes: [Setting] = [], _ inputs: Operand..., outputs: Int = 1,
            version: Int = 17
        ) {
            (self.operation, self.attributes, self.inputs) = (operation, attributes, inputs)
            (self.outputs, self.version) = (outputs, version)
        }
    }

    /// An attribute.
    enum Setting: Sendable {
        case int(String, Int)
        case ints(String, [Int])
        case float(String, Float)
        case string(String, String)

        var proto: AttributeProto {
            switch self {
            case .int(let name, let value): AttributeProto(name: name, int: value)
            case .ints(let name, let values): AttributeProto(name: name, ints: values)
            case .float(let name, let value): AttributeProto(name: name, float: value)
            case .string(let name, let value): AttributeProto(name: name, string: value)
            }
        }
    }

    private static let image = Operand.reals([2, 4, 5, 6])

    static let cases: [Case] =
        [
            "Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Relu", "Selu", "Shrink",
            "Softplus", "Softsign", "Swish", "ThresholdedRelu", "Abs", "Atan", "Asinh", "Cos", "Cosh", "Erf",
            "Exp", "Identity", "Neg", "Sigmoid", "Sin", "Sinh", "Tanh", "Softmax", "LogSoftmax", "Dropout",
            "Flatten", "Transpose", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool",
            "LpNormalization",
        ].map { Case($0, [], .reals([2, 3, 4])) }
        + ["Acos", "Asin", "Atanh", "Tan"].map { Case($0, [], .reals([3, 4], -0.9...0.9)) }
        + ["Log", "Sqrt", "Reciprocal"].map { Case($0, [], .reals([3, 4], 0.5...3)) }
        + [
            Case("Acosh", [], .reals([5], 1.5...3)),
            Case("Gelu", [.string("approximate", "tanh")], .reals([7])),
            Case("Clip", [], .reals([9]), .fixed([], [-1]), .fixed([], [1])),
            Case("PRelu", [], .reals([2, 3, 4]), .reals([3, 1])),
            Case("SwiGLU", [], .reals([3, 4]), .reals([3, 4]), version: 27),
            Case("Mod", [.int("fmod", 1)], .reals([4], 3...5), .fixed([4], [2, 2, 2, 2])),
            Case("Pow", [], .reals([4], 0.5...2), .reals([4])),
            Case("Div", [], .reals([2, 3]), .reals([3], 0.5...2)),
            Case("Where", [], .truths([3], [true, false, true]), .reals([2, 3]), .reals([3])),
        ]
        + ["Add", "Sub", "Mul"].map { Case($0, [], .reals([2, 3]), .reals([3])) }
        + ["Max", "Min", "Mean", "Sum"].map { Case($0, [], .reals([2, 3]), .reals([3]), .reals([2, 1])) }
        + [
            "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
            "ReduceSumSquare",
        ].map { Case($0, [.ints("axes", [1])], .reals([2, 3, 4])) }
        + [
            Case("ReduceLogSum", [.ints("axes", [1])], .reals([2, 3], 0.5...2)),
            Case("ReduceSum", [], .reals([2, 3, 4]), .whole([1], [2])),
            Case("Conv", [.ints("pads", [1, 1, 1, 1])], image, .reals([6, 2, 3, 3]), .reals([6])).grouped(2),
            Case("ConvTranspose", [.ints("strides", [2, 2])], image, .reals([4, 3, 2, 2]), .reals([3])),
            Case(
                "DeformConv", [.ints("pads", [0, 0, 0, 0])], .reals([1, 2, 4, 4]), .reals([3, 2, 2, 2]),
                .reals([1, 8, 3, 3], -0.3...0.3), .reals([3]), .reals([1, 4, 3, 3]), version: 19),
            Case(
                "Col2Im", [], .reals([1, 4, 9]), .whole([2], [4, 4]), .whole([2], [2, 2]), version: 18),
            Case(
                "Gemm", [.int("transB", 1), .float("alpha", 0.5)], .reals([3, 4]), .reals([5, 4]), .reals([5])
            ),
            Case("MatMul", [], .reals([2, 3, 4]), .reals([4, 5])),
            Case("Einsum", [.string("equation", "bij,bkj->bik")], .reals([2, 3, 4]), .reals([2, 5, 4])),
            Case("Det", [], .reals([2, 3, 3])),
            Case(
                "BatchNormalization", [], image, .reals([4]), .reals([4]), .fixed([4], [0, 1, -1, 0.5]),
                .fixed([4], [1, 0.5, 2, 1])),
            Case("MeanVarianceNormalization", [], image),
            Case("InstanceNormalization", [], image, .reals([4]), .reals([4])),
            Case("GroupNormalization", [.int("num_groups", 2)], image, .reals([4]), .reals([4]), version: 21),
            Case("LayerNormalization", [], .reals([2, 3, 4]), .reals([4]), .reals([4])),
            Case("RMSNormalization", [], .reals([2, 3, 4]), .reals([4]), version: 23),
            Case("LRN", [.int("size", 3)], image),
            Case("MaxPool", [.ints("kernel_shape", [2, 2])], image),
            Case("AveragePool", [.ints("kernel_shape", [2, 2]), .ints("strides", [2, 2])], image),
            Case("LpPool", [.ints("kernel_shape", [2, 2])], .reals([1, 2, 4, 4], 0.5...2)),
            Case(
                "MaxUnpool", [.ints("kernel_shape", [2, 2]), .ints("strides", [2, 2])], .reals([1, 1, 2, 2]),
                .whole([1, 1, 2, 2], [0, 3, 9, 14])),
            Case(
                "MaxRoiPool", [.ints("pooled_shape", [2, 2])], .reals([1, 2, 6, 6]),
                .fixed([1, 5], [0, 0, 0, 5, 5])),
            Case(
                "RoiAlign", [.int("output_height", 2), .int("output_width", 2)], .reals([1, 2, 6, 6]),
                .fixed([1, 4], [0.5, 0.5, 4.5, 4.5]), .whole([1], [0])),
            Case("Pad", [], .reals([2, 3]), .whole([4], [1, 0, 0, 2])),
            Case("Pad", [.string("mode", "reflect")], .reals([2, 3, 4]), .whole([6], [0, 0, 1, 0, 0, 2])),
            Case("Concat", [.int("axis", 1)], .reals([2, 3]), .reals([2, 2])),
            Case("Slice", [], .reals([4, 5]), .whole([1], [1]), .whole([1], [4]), .whole([1], [0])),
            Case("Split", [.int("axis", 1)], .reals([2, 5]), .whole([2], [2, 3]), outputs: 2),
            Case("Gather", [.int("axis", 1)], .reals([2, 5]), .whole([3], [4, 0, 4])),
            Case("GatherElements", [.int("axis", 1)], .reals([2, 3]), .whole([2, 2], [0, 2, 1, 1])),
            Case("GatherND", [], .reals([2, 3]), .whole([2, 2], [0, 2, 1, 1])),
            Case("Compress", [.int("axis", 0)], .reals([3, 2]), .truths([3], [true, false, true])),
            Case("ScatterElements", [], .reals([3, 2]), .whole([1, 2], [2, 0]), .reals([1, 2])),
            Case(
                "ScatterElements", [.string("reduction", "add")], .reals([3, 2]), .whole([1, 2], [2, 2]),
                .reals([1, 2]), version: 18),
            Case("Scatter", [], .reals([3, 2]), .whole([1, 2], [2, 0]), .reals([1, 2]), version: 10),
            Case("ScatterND", [], .reals([4, 2]), .whole([2, 1], [3, 1]), .reals([2, 2])),
            Case(
                "TensorScatter", [], .reals([1, 1, 4, 2]), .reals([1, 1, 2, 2]), .whole([1], [1]), version: 24
            ),
            Case("Expand", [], .reals([3, 1]), .whole([3], [2, 3, 4])),
            Case("Reshape", [], .reals([2, 6]), .whole([2], [3, -1])),
            Case("Squeeze", [], .reals([2, 1, 3]), .whole([1], [1])),
            Case("Unsqueeze", [], .reals([2, 3]), .whole([1], [1])),
            Case("Tile", [], .reals([2, 3]), .whole([2], [2, 1])),
            Case("DepthToSpace", [.int("blocksize", 2)], .reals([1, 8, 2, 3])),
            Case("SpaceToDepth", [.int("blocksize", 2)], .reals([1, 2, 4, 6])),
            Case(
                "ReverseSequence", [.int("batch_axis", 1), .int("time_axis", 0)], .reals([4, 2]),
                .whole([2], [2, 4])),
            Case("Trilu", [], .reals([3, 3])),
            Case("CumSum", [], .reals([2, 4]), .whole([], [1])),
            Case("CumProd", [], .reals([2, 4]), .whole([], [1]), version: 26),
            Case("TopK", [], .reals([2, 5]), .whole([1], [2]), outputs: 2),
            Case(
                "Resize", [.string("mode", "linear")], .reals([1, 2, 4, 4]), .none,
                .fixed([4], [1, 1, 1.5, 2])),
            Case(
                "Resize", [.string("mode", "cubic")], .reals([1, 2, 4, 4]), .none,
                .fixed([4], [1, 1, 1.5, 2])),
            Case("Upsample", [], .reals([1, 2, 3, 3]), .fixed([4], [1, 1, 2, 2]), version: 9),
            Case("GridSample", [], .reals([1, 2, 4, 4]), .reals([1, 3, 3, 2], -0.8...0.8), version: 20),
            Case("AffineGrid", [], .reals([1, 2, 3]), .whole([4], [1, 1, 3, 4]), version: 20),
            Case("CenterCropPad", [], .reals([4, 3]), .whole([2], [2, 5]), version: 18),
            Case("NegativeLogLikelihoodLoss", [], .reals([3, 4]), .whole([3], [0, 3, 1])),
            Case("SoftmaxCrossEntropyLoss", [], .reals([3, 4]), .whole([3], [0, 3, 1])),
            Case("DFT", [], .reals([1, 5, 1])),
            Case("STFT", [], .reals([1, 12, 1]), .whole([], [3]), .fixed([4], [1, 2, 2, 1])),
            Case(
                "Attention", [], .reals([1, 2, 3, 4]), .reals([1, 2, 3, 4]), .reals([1, 2, 3, 4]), version: 23
            ),
            Case(
                "RotaryEmbedding", [], .reals([1, 2, 3, 4]), .reals([5, 2]), .reals([5, 2]),
                .whole([1, 3], [0, 2, 4]), version: 23),
            Case(
                "LSTM", [.int("hidden_size", 3)], .reals([2, 1, 2]), .reals([1, 12, 2]), .reals([1, 12, 3]),
                .reals([1, 24]), outputs: 3),
            Case(
                "GRU", [.int("hidden_size", 3)], .reals([2, 1, 2]), .reals([1, 9, 2]), .reals([1, 9, 3]),
                .reals([1, 18]), outputs: 2),
            Case(
                "RNN", [.int("hidden_size", 3)], .reals([2, 1, 2]), .reals([1, 3, 2]), .reals([1, 3, 3]),
                .reals([1, 6]), outputs: 2),
        ]

    /// Those whose derivative is nothing, or nothing that training needs: whole numbers and truth values, positions and sizes,
    /// steps, and made-up numbers.
    private static let without: Set<String> = [
        "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "Not", "Or", "Xor", "Equal",
        "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsInf", "IsNaN", "ArgMax", "ArgMin", "NonZero",
        "Shape", "Size", "Range", "OneHot", "EyeLike", "Constant", "ConstantOfShape", "BitCast", "Ceil",
        "Floor", "Round", "Sign", "Hardmax", "Unique", "NonMaxSuppression", "ConvInteger", "MatMulInteger",
        "QLinearConv", "QLinearMatMul", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear",
        "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix",
    ]
    /// Those whose kernels compute in single precision, where differences are coarser.
    private static let single: Set<String> = [
        "MaxPool", "RoiAlign", "Resize", "DFT", "STFT", "LSTM", "GRU", "RNN",
    ]
    /// Those that other tests check: converting loses what differences need, and forms with a state are compared step by step.
    private static let elsewhere: Set<String> = [
        "Cast", "CastLike", "CausalConvWithState", "LinearAttention",
    ]

    @Test("are known of every operator that has one")
    func complete() {
        let known = Set(Self.cases.map(\.operation)).union(Self.without).union(Self.elsewhere)
        #expect(Set(Operators.builders.keys).subtracting(known) == [])
        #expect(known.subtracting(Operators.builders.keys) == [])
    }

    @Test("are those of central differences", arguments: cases)
    func differences(_ own: Case) throws {
        var random = Seeded(7)
        let isSingle = Self.single.contains(own.operation)
        let (step, tolerance) = isSingle ? (1e-2, 2e-2) : (1e-6, 1e-6)
        func reals(_ numbers: [Double], _ shape: [Int]) throws -> Tensor {
            isSingle ? try Tensor(numbers.map(Float.init), shape: shape) : try Tensor(numbers, shape: shape)
        }
        var constants: Set<Int> = []
        var starts: [Int: (shape: [Int], numbers: [Double])] = [:]
        var known: [Int: Tensor] = [:]
        for (slot, operand) in own.inputs.enumerated() {
            switch operand {
            case .reals(let shape, let range):
                starts[slot] = (
                    shape, (0..<shape.reduce(1, *)).map { _ in .random(in: range, using: &random) }
                )
            case .whole(let shape, let numbers):
                known[slot] = try Tensor(numbers, shape: shape)
                constants.insert(slot)
            case .truths(let shape, let values): known[slot] = try Tensor(values, shape: shape)
            case .fixed(let shape, let numbers):
                // Scales are single numbers in the standard, all others have the type of the data.
                known[slot] =
                    own.operation == "Upsample"
                    ? try Tensor(numbers.map(Float.init), shape: shape) : try reals(numbers, shape)
                constants.insert(slot)
            case .none: break
            }
        }
        let node = OneNode(
            operation: own.operation, version: own.version, attributes: own.attributes.map(\.proto),
            outputs: own.outputs, constants: constants)
        func outputs(_ changed: [Int: Tensor]) throws -> [Tensor] {
            try node(inputs: own.inputs.indices.map { changed[$0] ?? known[$0] })
                .filter { $0.scalarType == (isSingle ? .float32 : .float64) }
        }
        var weights: [[Double]] = []
        /// Outputs weighted with made-up numbers, so that no derivative cancels another.
        func sum(_ moved: (slot: Int, place: Int, by: Double)) throws -> Double {
            let inputs = try Dictionary(
                uniqueKeysWithValues: starts.map { slot, start in
                    var numbers = start.numbers
                    if slot == moved.slot { numbers[moved.place] += moved.by }
                    return (slot, try reals(numbers, start.shape))
                })
            return try zip(outputs(inputs), weights).reduce(0.0) { sum, pair in
                zip(try pair.0.converted(to: .float64).elements(as: Double.self), pair.1).reduce(sum) {
                    $0 + $1.0 * $1.1
                }
            }
        }
        let slots = starts.keys.sorted()
        let gradients = try TorchRuntime.withGradients {
            var leaves: [Int: Tensor] = [:]
            for slot in slots {
                guard let start = starts[slot] else { continue }
                let leaf = try reals(start.numbers, start.shape)
                try leaf.requireGradient()
                leaves[slot] = leaf
            }
            let found = try outputs(leaves)
            try #require(!found.isEmpty, "no output in the inputs' precision")
            weights = found.map { output in
                (0..<output.count).map { _ in .random(in: 0.5...1.5, using: &random) }
            }
            let seeds: [Tensor?] = try zip(found, weights).map { try reals($1, $0.shape) }
            return try Tensor.gradients(
                of: found, seeds: seeds, withRespectTo: slots.compactMap { leaves[$0] })
        }
        for (slot, gradient) in zip(slots, gradients) {
            guard let start = starts[slot] else { continue }
            let slopes =
                try gradient?.converted(to: .float64).elements(as: Double.self)
                ?? [Double](repeating: 0, count: start.numbers.count)
            for place in start.numbers.indices {
                let difference =
                    try (sum((slot, place, step)) - sum((slot, place, -step))) / (2 * step)
                #expect(
                    abs(slopes[place] - difference) <= tolerance * max(1, abs(difference)),
                    "input \(slot), element \(place): \(slopes[place]), by differences \(difference)")
            }
        }
    }
}

extension OperatorGradientTests.Case {
    /// The same in groups.
    fileprivate func grouped(_ groups: Int) -> Self {
        Self(operation, attributes + [.int("group", groups)], inputs, outputs, version)
    }

    private init(
        _ operation: String, _ attributes: [OperatorGradientTests.Setting],
        _ inputs: [OperatorGradientTests.Operand], _ outputs: Int, _ version: Int
    ) {
        (self.operation, self.attributes, self.inputs) = (operation, attributes, inputs)
        (self.outputs, self.version) = (outputs, version)
    }
}
