@testable import ComputationGraph
import ONNX
import Testing

/// Constants through single vertices. Expected numbers are PyTorch 2.13's, rounded as it prints them, or follow from
/// the operator's definition by hand where it says so.
@Suite("Materialising: constants through single vertices")
struct MaterialisingEvaluationTests {
    /// The constant that the vertex makes of `constant`, which stands for a value of shape `shape`.
    private func evaluate(
        _ operation: String, _ constant: Constant, shape: [Int?]? = nil, to target: [Int?]? = nil,
        version: Int = 17, _ attributes: AttributeProto...
    ) throws -> [Double]? {
        try result(operation, constant, shape: shape, to: target, version: version, attributes)?.elements
    }

    private func result(
        _ operation: String, _ constant: Constant, shape: [Int?]? = nil, to target: [Int?]? = nil,
        version: Int = 17, _ attributes: [AttributeProto]
    ) throws -> Constant? {
        var model = SmallModel(operatorSet: version)
        let shape = shape ?? constant.shape
        model.input("x", shape)
        model.node(operation, ["x"], "y", target ?? shape)
        model.output("y")
        let graph = try model.graph()
        let shapes = model.valueShapes(of: graph)
        var node = graph.vertices[0].node
        node.attribute = attributes
        let vertex = Vertex(index: 0, node: node, version: version, inputs: [0], outputs: [1], captured: [])
        let evaluation = Evaluation(
            vertex: vertex, inputs: [.init(source: .constant(constant), extents: shapes.extents(of: 0))],
            outputs: [.init(extents: shapes.extents(of: 1), elementType: .float32)],
            originals: OriginalConstants(graph, shapes))
        return try evaluation.results()?.first
    }

    private static let activations: [(String, [Double])] = [
        ("LeakyRelu", [-0.019999999552965164, -0.004999999888241291, 0.0, 0.5, 2.0]),
        ("Elu", [-0.8646647334098816, -0.39346933364868164, 0.0, 0.5, 2.0]),
        ("Selu", [-1.5201665163040161, -0.6917581558227539, 0.0, 0.5253505110740662, 2.1014020442962646]),
        ("Celu", [-0.8646647334098816, -0.39346933364868164, 0.0, 0.5, 2.0]),
        ("Sigmoid", [0.11920291930437088, 0.3775406777858734, 0.5, 0.622459352016449, 0.8807970285415649]),
        (
            "HardSigmoid",
            [0.09999999403953552, 0.4000000059604645, 0.5, 0.6000000238418579, 0.8999999761581421]
        ),
        (
            "HardSwish",
            [-0.3333333432674408, -0.2083333283662796, 0.0, 0.2916666567325592, 1.6666666269302368]
        ),
        (
            "Softplus",
            [0.12692800164222717, 0.4740769863128662, 0.6931471824645996, 0.9740769863128662, 2.126928091049]
        ),
        (
            "Softsign",
            [-0.6666666865348816, -0.3333333432674408, 0.0, 0.3333333432674408, 0.6666666865348816]
        ),
        ("Mish", [-0.2525014579296112, -0.22074376046657562, 0.0, 0.37524524331092834, 1.9439589977264404]),
        ("Gelu", [-0.04550027847290039, -0.1542687714099884, 0.0, 0.3457312285900116, 1.9544997215270996]),
        ("Tanh", [-0.9640275835990906, -0.46211716532707214, 0.0, 0.46211716532707214, 0.9640275835990906]),
        ("Erf", [-0.9953222870826721, -0.5204998850822449, 0.0, 0.5204998850822449, 0.9953222870826721]),
        ("Exp", [0.1353352814912796, 0.6065306663513184, 1.0, 1.6487212181091309, 7.389056205749512]),
        ("Round", [-2, 0, 0, 0, 2]),
    ]

    @Test("activations are PyTorch's", arguments: activations)
    func activation(_ operation: String, _ expected: [Double]) throws {
        let elements = try #require(
            try evaluate(operation, Constant(.float32, shape: [5], [-2, -0.5, 0, 0.5, 2]), version: 20))
        for (element, number) in zip(elements, expected) { #expect(abs(element - number) < 2e-7) }
    }

    @Test("Softmax and LogSoftmax along a known axis are PyTorch's, and 1/n of equal scores")
    func softmax() throws {
        let scores = Constant(.float32, shape: [1, 3], [1, 2, 3])
        let probabilities = try #require(try evaluate("Softmax", scores, shape: [nil, 3]))
        for (element, number) in zip(probabilities, [0.09003057, 0.24472848, 0.66524094]) {
            #expect(abs(element - number) < 1e-7)
        }
        let logarithms = try #require(try evaluate("LogSoftmax", scores, shape: [nil, 3]))
        for (element, number) in zip(logarithms, [-2.40760589, -1.40760589, -0.40760595]) {
            #expect(abs(element - number) < 3e-7)
        }
        #expect(try evaluate("Softmax", Constant(.float32, rank: 2), shape: [nil, 8]) == [0.125])
        // A batch of unknown size has no known 1/n.
        #expect(
            try evaluate(
                "Softmax", Constant(.float32, rank: 2), shape: [nil, 8], AttributeProto(name: "axis", int: 0))
                == nil)
    }

    @Test("reductions count repeated elements as often as they stand")
    func reductions() throws {
        let constant = Constant(.float32, shape: [1, 2, 1], [3, 4])
        let axes = AttributeProto(name: "axes", ints: [1, 2])
        // Over [N, 2, 5]: (3 + 4) * 5 = 35; mean 3.5; sqrt((9 + 16) * 5) = 11.180339887.
        #expect(
            try evaluate("ReduceSum", constant, shape: [nil, 2, 5], to: [nil, 1, 1], version: 11, axes) == [
                35
            ])
        #expect(
            try evaluate("ReduceMean", constant, shape: [nil, 2, 5], to: [nil, 1, 1], axes) == [3.5])
        let norm = try evaluate("ReduceL2", constant, shape: [nil, 2, 5], to: [nil, 1, 1], axes)
        #expect(abs((norm?.first ?? 0) - 11.180339887) < 1e-6)
    }

    @Test("reshaping repeats a constant only within the axes that are merged")
    func reshaping() throws {
        let channels = Constant(.float32, shape: [1, 2, 1], [3, 4])
        let merged = try result("Flatten", channels, shape: [nil, 2, 3], to: [nil, 6], [])
        #expect(merged?.shape == [1, 6])
        #expect(merged?.elements == [3, 3, 3, 4, 4, 4])
        // Batch and channels cannot be merged while the batch is unknown.
        #expect(try result("Reshape", channels, shape: [nil, 2, 3], to: [-2, 3], []) == nil)
        // With single numbers nothing has to be known.
        let number = Constant(.float32, rank: 3, filledWith: 5)
        #expect(try result("Reshape", number, shape: [nil, 2, 3], to: [-2, 3], [])?.shape == [1, 1])
    }

    @Test("pooling with counted padding is no constant, pooling without is")
    func pooling() throws {
        let constant = Constant(.float32, rank: 4, filledWith: 2)
        let kernel = AttributeProto(name: "kernel_shape", ints: [3, 3])
        let pads = AttributeProto(name: "pads", ints: [1, 1, 1, 1])
        let counting = AttributeProto(name: "count_include_pad", int: 1)
        let shape: [Int?] = [nil, 1, 8, 8]
        #expect(try evaluate("AveragePool", constant, shape: shape, kernel, pads) == [2])
        #expect(try evaluate("AveragePool", constant, shape: shape, kernel, pads, counting) == nil)
        #expect(try evaluate("MaxPool", constant, shape: shape, kernel, pads) == [2])
    }

    @Test(
        "Slice takes NumPy's positions",
        arguments: [
            (1, 4, 1, [1, 2, 3]), (-2, Int.max, 1, [4, 5]), (5, Int.min, -2, [5, 3, 1]),
            (-1, -4, -1, [5, 4, 3]),
            (4, 2, 1, []), (0, 100, 4, [0, 4]), (100, -100, -3, [5, 2]),
        ])
    func slicing(_ start: Int, _ end: Int, _ step: Int, _ expected: [Int]) {
        // numpy.arange(6)[start:end:step].
        #expect(Evaluation.positions(from: start, to: end, by: step, size: 6) == expected)
    }

    @Test("float16 and bfloat16 round to the nearest, ties to even")
    func rounding() {
        // NumPy's float16 and ml_dtypes' bfloat16.
        #expect(ElementType.float16.rounded(0.1) == 0.0999755859375)
        #expect(ElementType.bfloat16.rounded(0.1) == 0.10009765625)
        #expect(ElementType.bfloat16.rounded(1.00390625) == 1)
        #expect(ElementType.bfloat16.rounded(1.01171875) == 1.015625)
    }
}
