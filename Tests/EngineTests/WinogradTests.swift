import ComputationGraph
import ONNX
import Testing
import Torch

@testable import Engine

private let winograd = Operation("espalier::winograd_convolution")
private let transform = Operation("espalier::winograd_weight")
private let convolution = Operation("aten::convolution")
private let pad = Operation("aten::constant_pad_nd")

/// One convolution: sizes, and zeros at the top, left, bottom and right.
struct WinogradCase: Sendable, CustomTestStringConvertible {
    var images = 2
    var channels = (in: 16, out: 16)
    var size = (height: 8, width: 8)
    var padding = [1, 1, 1, 1]
    var hasBias = true

    var testDescription: String {
        "\(images)×\(channels.in)×\(size.height)×\(size.width) to \(channels.out), padded by \(padding)"
    }

    static let all = [
        WinogradCase(), WinogradCase(images: 1, size: (1, 1)),
        WinogradCase(size: (3, 2), padding: [0, 1, 0, 1]),
        WinogradCase(images: 1, channels: (32, 16), size: (32, 32), padding: [0, 0, 0, 0], hasBias: false),
        WinogradCase(images: 5, channels: (16, 32), size: (9, 13), padding: [0, 2, 1, 0]),
        WinogradCase(images: 3, channels: (48, 80), size: (7, 5), padding: [2, 2, 2, 2]),
        WinogradCase(images: 1, channels: (64, 64), size: (30, 6), padding: [1, 0, 2, 1]),
        WinogradCase(images: 1, channels: (272, 256), size: (12, 12)),
    ]

    var x: [Float] { numbers(images * channels.in * size.height * size.width, seed: 1) }
    var weights: [Float] { numbers(9 * channels.in * channels.out, seed: 2).map { $0 / Float(channels.in) } }
    var biases: [Float] { numbers(channels.out, seed: 3) }

    /// Numbers that follow no pattern, between -2 and 2.
    private func numbers(_ count: Int, seed: UInt64) -> [Float] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) / Float(1 << 22) - 2
        }
    }

    /// The convolution of `x` by the engine's operator.
    func computed(_ x: [Float], rectified: Bool = false) throws -> [Float] {
        let weight = try Tensor(weights, shape: [channels.out, channels.in, 3, 3])
        return try winograd(
            .tensor(tensor(x).channelsLast()), .tensor(weight), .tensor(transform(.tensor(weight))),
            .optional(hasBias ? Tensor(biases) : nil), .ints(padding), .bool(rectified)
        ).elements()
    }

    /// The same by libtorch, from the definition.
    func defined(_ x: [Float], _ type: ScalarType) throws -> [Double] {
        let padded = try pad(
            .tensor(tensor(x).converted(to: type)), .ints([padding[1], padding[3], padding[0], padding[2]]),
            .int(0))
        let weight = try Tensor(weights, shape: [channels.out, channels.in, 3, 3]).converted(to: type)
        let result = try convolution(
            .tensor(padded.channelsLast()), .tensor(weight.channelsLast()),
            .optional(hasBias ? Tensor(biases).converted(to: type) : nil), .ints([1, 1]), .ints([0, 0]),
            .ints([1, 1]), false, .ints([0, 0]), .int(1))
        return try result.elements(as: Double.self)
    }

    private func tensor(_ x: [Float]) throws -> Tensor {
        try Tensor(
            x,
            shape: [x.count / (channels.in * size.height * size.width), channels.in, size.height, size.width])
    }
}

@Suite("Winograd's convolution")
struct WinogradTests {
    @Test("errs like single precision", arguments: WinogradCase.all)
    func accuracy(of one: WinogradCase) throws {
        let expected = try one.defined(one.x, .float64)
        let largest = expected.map(abs).max() ?? 0
        let found = try one.computed(one.x)
        #expect(found.count == expected.count)
        for (value, exact) in zip(found, expected) { #expect(abs(Double(value) - exact) <= 3e-6 * largest) }
        let rectified = try one.computed(one.x, rectified: true)
        #expect(rectified == found.map { max($0, 0) })
    }

    /// Groups of tiles span images, and are others for another number of them.
    @Test("gives an image the same bits alone, among others, and again", arguments: WinogradCase.all)
    func purity(of one: WinogradCase) throws {
        let whole = try one.computed(one.x)
        #expect(try one.computed(one.x) == whole)
        let size = one.x.count / one.images
        let parts = try (0..<one.images).flatMap {
            try one.computed(Array(one.x[$0 * size..<($0 + 1) * size]))
        }
        #expect(parts == whole)
    }

    /// Between the transforms infinity would become NaN in a whole tile, and large numbers infinity.
    @Test(
        "is infinite, or no number, where the definition is",
        arguments: [.infinity, -.infinity, .nan, 3e38, -2e38] as [Float])
    func extremes(value: Float) throws {
        let one = WinogradCase(images: 2, size: (13, 10), hasBias: false)
        for place in [0, 129, 700, 2079, 4159] {
            var x = one.x
            x[place] = value
            let expected = try one.defined(x, .float32)
            for (found, exact) in zip(try one.computed(x), expected) {
                #expect(found.isNaN && exact.isNaN || Double(found) == exact)
            }
        }
    }

    @Test("pays where tiles are used well and are many enough for the weights")
    func rule() {
        func pays(_ images: Int, _ channels: (Int, Int), _ output: [Int]) -> Bool {
            WinogradConvolution.pays(images: images, channels: channels, output: output)
        }
        #expect(pays(1, (16, 16), [4, 4]) && pays(16, (64, 64), [8, 8]) && pays(1, (512, 512), [14, 14]))
        #expect(pays(32, (16, 32), [7, 7]) && pays(1, (32, 16), [6, 7]))
        // 25 of 64 outputs of the tiles.
        #expect(!pays(64, (16, 16), [5, 5]) && !pays(64, (16, 16), [1, 4]))
        #expect(!pays(1, (128, 128), [4, 4]) && !pays(1, (512, 512), [8, 8]))
        #expect(
            !pays(16, (3, 16), [32, 32]) && !pays(16, (16, 24), [32, 32]) && !pays(0, (16, 16), [8, 8]))
    }

    /// Conv(x) with a weight of some shape, a BatchNormalization that doubles, and Relu; for 4 × 32 × 16 × 16 numbers.
    private func model(weight: [Int], attributes: [AttributeProto] = [], isConstant: Bool = true) throws
        -> Specialisation
    {
        let count = weight.reduce(1, *)
        let values = (0..<count).map { (index: Int) -> Float in Float(index * 7919 % 13) / 100 - 0.06 }
        func perChannel(_ name: String, _ value: Float) throws -> TensorProto {
            let values = [Float](repeating: value, count: weight[0])
            return TensorProto(name: name, try TensorData(floats: values, shape: [weight[0]]))
        }
        let graph = try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: [nil, 32, 16, 16])]
                + (isConstant ? [] : [ValueInfoProto(name: "w", .float32, shape: weight)]),
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, weight[0], nil, nil])],
            initializers: try [perChannel("two", 2), perChannel("one", 1), perChannel("none", 0)]
                + (isConstant ? [TensorProto(name: "w", try TensorData(floats: values, shape: weight))] : []),
            nodes: [
                NodeProto("Conv", inputs: ["x", "w"], outputs: ["c"], attributes: attributes),
                NodeProto(
                    "BatchNormalization", inputs: ["c", "two", "none", "none", "one"], outputs: ["n"],
                    attributes: [AttributeProto(name: "epsilon", float: 0)]),
                NodeProto("Relu", inputs: ["n"], outputs: ["y"]),
            ])
        return try Network(graph).specialisation(
            for: [input()] + (isConstant ? [] : [Tensor(values, shape: weight)]))
    }

    private func input() throws -> Tensor {
        let values = (0..<4 * 32 * 256).map { (index: Int) -> Float in
            Float(index * 104_729 % 4001) / 1000 - 2
        }
        return try Tensor(values, shape: [4, 32, 16, 16])
    }

    @Test(
        "is fused with the normalization and the ReLU after it, unless an edge between them is removed"
    )
    func together() throws {
        let model = try model(
            weight: [16, 32, 3, 3], attributes: [AttributeProto(name: "pads", ints: [1, 1, 1, 1])])
        let (normalization, rectifier) = (Edge(node: 1, slot: 0), Edge(node: 2, slot: 0))
        #expect(
            model.steps.map { $0.fused?.fusedEdges } == [[], [normalization], [rectifier, normalization]])
        #expect(model.steps.map { $0.fused?.vertex } == [0, 0, 0])
        let (x, output) = (try input(), model.graph.outputs[0].value)
        func values(_ mask: Mask) throws -> (values: [Float], steps: [Int]) {
            let schedule = Schedule(model, mask: mask, wanted: [output])
            var activations = Activations(model, inputs: [x])
            try activations.compute(schedule) { $0 == output }
            return (try #require(activations[output]).elements(), schedule.steps)
        }
        // Layer by layer, by libtorch.
        var apart = Activations(model, inputs: [x])
        try apart.compute([output], recording: Activations.Recording(gates: Gates()))
        let exact: [Float] = try #require(apart[output]).elements()
        let found = try values(.empty)
        #expect(found.steps == [2])
        #expect(exact.contains { $0 > 1 } && exact.contains(0))
        for (left, right) in zip(found.values, exact) { #expect(abs(left - right) <= 1e-5) }
        #expect(try values(Mask([rectifier])).values.allSatisfy { $0 == 0 })
        #expect(try values(Mask([normalization])).steps == [1, 2])
    }

    @Test("leaves other convolutions to libtorch")
    func others() throws {
        func isOwn(_ weight: [Int], _ attributes: [AttributeProto] = [], isConstant: Bool = true) throws
            -> Bool
        {
            try model(weight: weight, attributes: attributes, isConstant: isConstant).steps[0].fused != nil
        }
        #expect(try isOwn([16, 32, 3, 3]))
        #expect(try isOwn([16, 32, 3, 3], [AttributeProto(name: "auto_pad", string: "SAME_LOWER")]))
        #expect(try !isOwn([16, 32, 3, 3], [AttributeProto(name: "strides", ints: [2, 2])]))
        #expect(try !isOwn([16, 32, 3, 3], [AttributeProto(name: "dilations", ints: [2, 1])]))
        #expect(try !isOwn([16, 32, 3, 3], [AttributeProto(name: "pads", ints: [1, 1, 3, 1])]))
        #expect(try !isOwn([32, 16, 3, 3], [AttributeProto(name: "group", int: 2)]))
        #expect(try !isOwn([16, 32, 1, 1]) && !isOwn([16, 32, 3, 1]) && !isOwn([16, 32, 5, 5]))
        #expect(try !isOwn([24, 32, 3, 3]))
        #expect(try !isOwn([16, 32, 3, 3], isConstant: false))
    }
}
