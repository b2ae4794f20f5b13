import ComputationGraph
import Datasets
import ONNX
import Testing

@testable import Engine

@Suite("The rows that layers are fitted on")
struct FitRowTests {
    private static let (samples, positions, width) = (24, 6, 4)

    /// Tokens [N, 6, 4] through a residual block with a normalisation behind it, times a mask [N, 6].
    private func graph(maskName: String = "attention_mask", _ type: ElementType = .int64) throws -> Graph {
        var random = Seeded(77)
        func weight(_ name: String, _ shape: [Int]) throws -> TensorProto {
            let numbers = (0..<shape.reduce(1, *)).map { _ in Float.random(in: -1...1, using: &random) }
            return TensorProto(name: name, try TensorData(floats: numbers, shape: shape))
        }
        let width = Self.width
        return try smallModel(
            inputs: [
                ValueInfoProto(name: "x", .float32, shape: [nil, nil, width]),
                ValueInfoProto(name: maskName, type, shape: [nil, nil]),
            ],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, nil, width])],
            initializers: [
                weight("w0", [width, width]), weight("w1", [width, width]), weight("w2", [width, width]),
                weight("b1", [width]), weight("scale", [width]), weight("shift", [width]),
                TensorProto("axes", int64s: [2]),
            ],
            nodes: [
                NodeProto("MatMul", inputs: ["x", "w0"], outputs: ["a"]),
                NodeProto("Tanh", inputs: ["a"], outputs: ["t"]),
                NodeProto("Add", inputs: ["t", "x"], outputs: ["s"]),
                NodeProto("LayerNormalization", inputs: ["s", "scale", "shift"], outputs: ["n"]),
                NodeProto("MatMul", inputs: ["n", "w1"], outputs: ["p"]),
                NodeProto("Add", inputs: ["p", "b1"], outputs: ["q"]),
                NodeProto("Tanh", inputs: ["q"], outputs: ["r"]),
                NodeProto("MatMul", inputs: ["r", "w2"], outputs: ["u"]),
                NodeProto(
                    "Cast", inputs: [maskName], outputs: ["c"],
                    attributes: [AttributeProto(name: "to", int: Int(ElementType.float32.rawValue))]),
                NodeProto("Unsqueeze", inputs: ["c", "axes"], outputs: ["m"]),
                NodeProto("Mul", inputs: ["u", "m"], outputs: ["y"]),
            ])
    }

    /// The first of a sample's positions count, as many as its number says.
    private static let mask: [Int64] = (0..<samples).flatMap { sample in
        (0..<positions).map { $0 < 2 + sample % 5 ? 1 : 0 }
    }

    private static let inputs: [Float] = {
        var random = Seeded(5)
        return (0..<samples * positions * width).map { _ in Float.random(in: -2...2, using: &random) }
    }()

    /// The inputs with other numbers where the mask has a value.
    private func changed(where value: Int64) -> [Float] {
        Self.inputs.enumerated().map { place, number in
            Self.mask[place / Self.width] == value ? 3 - number * number : number
        }
    }

    private func refit(
        _ graph: Graph, _ inputs: [Float], mask: NumpyArray, _ recovery: Recovery,
        name: String = "attention_mask"
    ) throws -> RefitBits {
        let x = try NumpyArray(shape: [Self.samples, Self.positions, Self.width], values: inputs)
        let subject = try RecoverySubject(graph, [("x", x), (name, mask)])
        return try RefitBits(subject.refit(Mask([Edge(node: 2, slot: 0)]), recovery))
    }

    private func array<Element: NumpyElement>(_ values: [Element]) throws -> NumpyArray {
        try NumpyArray(shape: [Self.samples, Self.positions], values: values)
    }

    private static let recoveries = [
        Recovery([.leastSquares, .norm], rowsPerFeature: 1), Recovery([.leastSquares]),
        Recovery.exact(ridge: 1e-3), Recovery([.norm]),
    ]

    @Test("are none of the positions that an attention mask leaves out", arguments: recoveries)
    func maskedPositions(recovery: Recovery) throws {
        let graph = try graph()
        let mask = try array(Self.mask)
        let fitted = try refit(graph, Self.inputs, mask: mask, recovery)
        #expect(!fitted.layers.isEmpty)
        #expect(try refit(graph, changed(where: 0), mask: mask, recovery) == fitted)
        let large = zip(Self.inputs, changed(where: 0)).map { $0 == $1 ? $0 : 1e30 }
        #expect(try refit(graph, large, mask: mask, recovery) == fitted)
        #expect(try refit(graph, changed(where: 1), mask: mask, recovery).weights != fitted.weights)
    }

    @Test("are those of a mask of floating-point numbers too, and all where a mask leaves nothing out")
    func kinds() throws {
        let recovery = Recovery.exact(ridge: 1e-3)
        let (whole, floats) = (try graph(), try graph(.float32))
        let expected = try refit(whole, Self.inputs, mask: array(Self.mask), recovery)
        #expect(
            try refit(floats, Self.inputs, mask: array(Self.mask.map { Float($0) }), recovery) == expected)
        let kept = Self.mask.count { $0 == 1 }
        #expect(expected.layers.allSatisfy { $0.rows == kept })
        let all = try refit(whole, Self.inputs, mask: array(Self.mask.map { _ in 1 as Int64 }), recovery)
        #expect(all.layers.allSatisfy { $0.rows == Self.samples * Self.positions })
    }

    @Test("are not chosen by an input that is no attention mask")
    func otherInputs() throws {
        let recovery = Recovery.exact(ridge: 1e-3)
        // A padding mask is 1 where a position does not count; weights of positions are no mask.
        for (name, values) in [
            ("padding_mask", Self.mask.map { Float($0) }), ("positions", Self.mask.map { Float($0) }),
            ("attention_mask", Self.mask.map { Float($0) / 2 }),
        ] {
            let found = try refit(
                graph(maskName: name, .float32), Self.inputs, mask: array(values), recovery, name: name)
            #expect(found.layers.allSatisfy { $0.rows == Self.samples * Self.positions }, "\(name)")
        }
    }

    @Test("are about as many as were asked for, the same in whatever order values are looked at")
    func counts() throws {
        var network = RandomNetwork(.image, channels: 3, seed: 8)
        let sum = network.add("Add", [try network.body("x", depth: 1), "x"])
        let output = try network.linear(sum)
        let subject = try RecoverySubject(network.graph(output), [("x", network.samples(64))])
        let mask = Mask([network.edge(into: sum, 0)])
        for rows in [1, 4, 16] {
            let layers = try subject.refit(mask, Recovery([.leastSquares], rowsPerFeature: rows)).layers
            // 3 · 3 · 3 weights and the bias; of 1,600 rows.
            let layer = try #require(layers.first)
            #expect(layers.count == 1 && layer.features == 28)
            #expect(abs(Double(layer.rows) - Double(28 * rows)) < 5 * Double(28 * rows).squareRoot())
        }
        #expect(try subject.refit(mask, .exact(ridge: 0)).layers.map(\.rows) == [1600])
    }

    @Test("of samples and what is drawn depend on numbers alone")
    func hashes() {
        let drawn = FitHash.drawn(10, of: 100)
        #expect(drawn.count == 10 && drawn == drawn.sorted() && Set(drawn).count == 10)
        #expect(Set(drawn).isSubset(of: FitHash.drawn(11, of: 100)))
        #expect(FitHash.drawn(7, of: 7) == Array(0..<7))
        // A quarter is held out, give or take four standard deviations.
        let heldOut = (0..<4000).count { FitHash.isHeldOut($0) }
        #expect(abs(heldOut - 1000) < 110)
        let rows = (0..<64).flatMap { sample in (0..<64).map { FitHash.row(sample: sample, position: $0) } }
        #expect(Set(rows).count == rows.count)
    }
}
