import ComputationGraph
import Datasets
import ONNX
import Testing

@testable import Engine

/// A model whose channels, heads and neurons may go beside its edges and layers.
private struct SlicedSubject {
    let graph: Graph
    let network: Network
    let dataset: Dataset
    let shapes: ValueShapes
    let candidates: Candidates

    init(_ graph: Graph, _ dataset: Dataset) throws {
        (self.graph, self.dataset) = (graph, dataset)
        network = try Network(graph)
        shapes = try network.valueShapes(for: dataset)
        var units = UnitSelection(kinds: Set(Unit.Kind.allCases))
        units.chunking = Chunking(chunks: [.channels: 4, .neurons: 3])
        candidates = try Candidates(
            of: graph, selection: .all, units: units,
            costs: CostModel(graph: graph, shapes: shapes, samples: 1))
    }

    init(_ name: String) throws {
        let fixture = try ModelFixture(name)
        try self.init(fixture.graph, fixture.dataset)
    }

    /// A mask of up to `count` units that a search could reach, at least one of them of positions where there are any.
    func mask(_ count: Int, using random: inout Seeded) -> Mask {
        var mask = Mask.empty
        for number in 0..<count {
            let possible = candidates.expansions(of: mask, in: graph)
            let sliced = possible.filter(\.kind.isSliced)
            guard
                let unit = (number == 0 && !sliced.isEmpty ? sliced : possible).randomElement(using: &random)
            else {
                break
            }
            mask = mask.removing(unit)
        }
        return mask
    }

    /// By how much the file of a mask differs from the masked model, as a share of its largest output.
    func difference(_ mask: Mask) throws -> Float {
        let masked = try network.run(dataset.arrays, mask: mask)
        let file = ModelFile(unchecked: try graph.materialise(mask, shapes: shapes))
        // Models of a few nodes have no version.
        if file.model.irVersion > 0 { try file.check() }
        let written = try Network(Graph(file, requiresInputs: false), fuses: false).run(dataset.arrays)
        var worst: Float = 0
        for ((_, wanted), (_, given)) in zip(masked, written) where wanted.elementType.isFloatingPoint {
            #expect(wanted.shape == given.shape)
            let (left, right) = (try wanted.floats(), try given.floats())
            let largest = left.reduce(0) { max($0, $1.magnitude) }
            worst = max(
                worst, zip(left, right).reduce(0) { max($0, ($1.0 - $1.1).magnitude) } / max(largest, 1e-3))
        }
        return worst
    }
}

@Suite("Channels, heads and neurons")
struct SliceTests {
    /// 25 masks of each architecture, which are 300.
    @Test("are gone from the file, which computes what the masked model does", arguments: ModelFixture.names)
    func written(model: String) throws {
        let subject = try SlicedSubject(model)
        var random = Seeded(11)
        let costs = CostModel(graph: subject.graph, shapes: subject.shapes, samples: 1)
        var compared = 0
        for attempt in 0..<100 where compared < 25 {
            let mask = subject.mask([1, 2, 4, 7][attempt % 4], using: &random)
            guard costs.assessment(of: mask)?.constantOutputs.isEmpty ?? false else { continue }
            #expect(try subject.difference(mask) < 1e-4, "\(mask.shortDescription)")
            compared += 1
        }
        #expect(compared == 25)
    }

    @Test(
        "give the same bits from whatever was computed before",
        arguments: ["resnet18", "swin", "gpt2", "unet"])
    func reused(model: String) throws {
        let subject = try SlicedSubject(model)
        let samples = Array(0..<min(4, subject.dataset.samples))
        func evaluator() throws -> Evaluator {
            try Evaluator(subject.network, dataset: subject.dataset, loss: .natural(for: subject.dataset))
        }
        let kept = try evaluator()
        var random = Seeded(5)
        var state = Mask.empty
        for stage in 0..<3 {
            let units = Array(
                subject.candidates.expansions(of: state, in: subject.graph).shuffled(using: &random).prefix(4)
            )
            let scores = try kept.evaluate(
                state: state, samples: samples, expansions: [nil] + units, reuseHints: [1], stage: stage)
            for (unit, score) in zip([nil] + units.map(Optional.some), scores) {
                let mask = unit.map { state.removing($0) } ?? state
                let alone = try evaluator().evaluate(
                    state: mask, samples: samples, expansions: [nil], reuseHints: [], stage: 0)
                #expect(Bits(score) == Bits(alone[0]), "\(mask.shortDescription)")
            }
            if let unit = units.first { state = state.removing(unit) }
        }
    }

    @Test("go from random networks with concatenations, splits, groups and shuffles", arguments: 0..<25)
    func random(seed: Int) throws {
        for number in 0..<40 {
            var network = CoupledNetwork(seed: UInt64(seed * 40 + number))
            let graph = try network.graph()
            let subject = try SlicedSubject(graph, Dataset([("x", network.samples)], inputs: graph.inputs))
            var random = Seeded(UInt64(number))
            let mask = subject.mask(1 + number % 4, using: &random)
            guard !mask.isEmpty else { continue }
            #expect(
                try subject.difference(mask) < 1e-4,
                "seed \(seed * 40 + number): \(mask.shortDescription)\n\(subject.graph.vertices.map { "\($0.index) \($0.operation) \($0.node.input) \($0.node.output)" })"
            )
        }
    }
}

/// A random image network in which channels are coupled in many ways.
private struct CoupledNetwork {
    private var random: Seeded
    private var nodes: [NodeProto] = []
    private var initializers: [TensorProto] = []
    /// Values of 6×6 pixels, and their channels.
    private var values: [(name: String, channels: Int)] = [("x", 4)]

    init(seed: UInt64) { random = Seeded(seed) }

    private mutating func weight(_ shape: [Int], _ range: ClosedRange<Float> = -0.6...0.6) throws -> String {
        let name = "w\(initializers.count)"
        let numbers = (0..<shape.reduce(1, *)).map { _ in Float.random(in: range, using: &random) }
        initializers.append(TensorProto(name: name, try TensorData(floats: numbers, shape: shape)))
        return name
    }

    private mutating func integers(_ numbers: [Int]) throws -> String {
        let name = "w\(initializers.count)"
        initializers.append(
            TensorProto(name: name, try TensorData(int64s: numbers.map { Int64($0) }, shape: [numbers.count]))
        )
        return name
    }

    private mutating func add(
        _ operation: String, _ inputs: [String], channels: [Int], _ attributes: AttributeProto...
    ) {
        let outputs = channels.indices.map { "v\(nodes.count)_\($0)" }
        nodes.append(
            NodeProto(operation, inputs: inputs, outputs: outputs, name: outputs[0], attributes: attributes))
        for (name, count) in zip(outputs, channels) { values.append((name, count)) }
    }

    private mutating func pick() -> (name: String, channels: Int) {
        // Late ones mostly, so that the network is deep.
        values[
            max(
                Int.random(in: 0..<values.count, using: &random),
                Int.random(in: 0..<values.count, using: &random))]
    }

    private mutating func convolution(_ input: (name: String, channels: Int), to outputs: Int? = nil) throws {
        let groups =
            [1, 1, 2, input.channels].filter { input.channels % $0 == 0 }.randomElement(using: &random) ?? 1
        let outputs = outputs ?? groups * Int.random(in: 1...max(1, 8 / groups), using: &random)
        let own = outputs % groups == 0 ? groups : 1
        let inputs = [
            input.name, try weight([outputs, input.channels / own, 3, 3]), try weight([outputs]),
        ]
        add(
            "Conv", inputs, channels: [outputs], .init(name: "pads", ints: [1, 1, 1, 1]),
            .init(name: "group", int: own))
    }

    private mutating func step() throws {
        let input = pick()
        let shape = [0, input.channels, 6, 6]
        switch Int.random(in: 0..<10, using: &random) {
        case 0, 1, 2: try convolution(input)
        case 3:
            let vectors = [
                try weight([input.channels]), try weight([input.channels]), try weight([input.channels]),
                try weight([input.channels], 0.5...2),
            ]
            add("BatchNormalization", [input.name] + vectors, channels: [input.channels])
        case 4: add("Relu", [input.name], channels: [input.channels])
        case 5:
            let other = pick()
            add(
                "Concat", [input.name, other.name], channels: [input.channels + other.channels],
                .init(name: "axis", int: 1))
        case 6 where input.channels > 1:
            let first = Int.random(in: 1..<input.channels, using: &random)
            let sizes = try integers([first, input.channels - first])
            add(
                "Split", [input.name, sizes], channels: [first, input.channels - first],
                .init(name: "axis", int: 1))
        case 7:
            if let other = values.filter({ $0.channels == input.channels && $0.name != input.name })
                .randomElement(
                    using: &random)
            {
                add("Add", [input.name, other.name], channels: [input.channels])
            } else {
                try convolution(input, to: input.channels)
                add("Add", [input.name, values[values.count - 1].name], channels: [input.channels])
            }
        case 8 where input.channels % 2 == 0:
            let (name, count) = (input.name, nodes.count)
            let split = try integers([0, 2, input.channels / 2, 6, 6])
            nodes.append(
                NodeProto("Reshape", inputs: [name, split], outputs: ["s\(count)"], name: "s\(count)"))
            nodes.append(
                NodeProto(
                    "Transpose", inputs: ["s\(count)"], outputs: ["t\(count)"], name: "t\(count)",
                    attributes: [.init(name: "perm", ints: [0, 2, 1, 3, 4])]))
            add("Reshape", ["t\(count)", try integers(shape)], channels: [input.channels])
        case 9:
            add("GlobalAveragePool", [input.name], channels: [input.channels])
            let pooled = values.removeLast().name
            let count = nodes.count
            nodes.append(NodeProto("Sigmoid", inputs: [pooled], outputs: ["g\(count)"], name: "g\(count)"))
            add("Mul", [input.name, "g\(count)"], channels: [input.channels])
        default: add("Sigmoid", [input.name], channels: [input.channels])
        }
    }

    /// The network: what nothing reads goes into the output.
    mutating func graph() throws -> Graph {
        while nodes.count < 14 { try step() }
        let read = Set(nodes.flatMap(\.input))
        let ends = values.filter { !read.contains($0.name) }
        let count = ends.reduce(0) { $0 + $1.channels }
        nodes.append(
            NodeProto(
                "Concat", inputs: ends.map(\.name), outputs: ["all"], name: "all",
                attributes: [.init(name: "axis", int: 1)]))
        nodes.append(
            NodeProto("Conv", inputs: ["all", try weight([3, count, 1, 1])], outputs: ["y"], name: "y"))
        return try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: [nil, 4, 6, 6])],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, 3, 6, 6])], initializers: initializers,
            nodes: nodes)
    }

    /// A few images.
    var samples: NumpyArray {
        get throws {
            var random = self.random
            let numbers = (0..<2 * 4 * 36).map { _ in Float.random(in: -1...1, using: &random) }
            return try NumpyArray(shape: [2, 4, 6, 6], values: numbers)
        }
    }
}
