import ComputationGraph
import Datasets
import Foundation
import ONNX
import Torch

@testable import Engine

/// A model with data to fit on.
struct RecoverySubject {
    let graph: Graph
    let dataset: Dataset
    let network: Network

    init(_ graph: Graph, _ arrays: [(String, NumpyArray)]) throws {
        self.graph = graph
        dataset = try Dataset(arrays, inputs: graph.inputs)
        network = try Network(graph)
    }

    /// A bundled example with its first samples.
    init(example name: String, samples: Int) throws {
        let folder = ModelFixture.folder.deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Examples").appending(path: name)
        graph = try Graph(ModelFile(contentsOf: folder.appending(path: "model.onnx").path))
        dataset = try Dataset(
            contentsOf: folder.appending(path: "calibration.npz").path,
            inputs: graph.inputs.map(InputSpecification.init), limit: samples)
        network = try Network(graph)
    }

    /// A refitter that knows nothing yet.
    ///
    /// - Parameter budget: the bytes that it may keep between fits.
    func refitter(_ recovery: Recovery, budget: Int = 1 << 28) throws -> Refitter {
        try Refitter(network, FitData(dataset), recovery, means: Means(), budget: budget)
    }

    /// The weights of a mask by a refitter that has made nothing else.
    func refit(_ mask: Mask, _ recovery: Recovery) throws -> Refit { try refitter(recovery).refit(mask) }

    /// All outputs of all samples, with the weights that a refit made.
    func outputs(_ mask: Mask = .empty, _ refit: Refit? = nil, of dataset: Dataset? = nil) throws -> [Float] {
        let dataset = dataset ?? self.dataset
        let inputs = try network.inputs(Array(0..<dataset.samples), of: dataset)
        return try network.values(
            graph.outputs.map(\.value), of: inputs, mask: mask, parameters: refit?.parameters
        ).flatMap { try $0.elements(as: Float.self) }
    }
}

extension Recovery {
    /// Least squares on all rows.
    static func exact(ridge: Double?) -> Recovery {
        Recovery([.leastSquares], ridge: ridge, rowsPerFeature: 1_000_000)
    }
}

/// What a fit made, as bits.
struct RefitBits: Hashable {
    let weights: [Int: [UInt32]]
    let biases: [Int: [UInt32]]
    let layers: [RefittedLayer]

    init(_ refit: Refit) throws {
        weights = try refit.weights.mapValues { $0.map(\.bitPattern) }
        biases = try refit.biases.mapValues { $0.map(\.bitPattern) }
        layers = refit.layers
    }
}

/// Writes a model with random weights layer by layer: images [N, C, 5, 5], tokens [N, 5, C] or vectors [N, C].
struct RandomNetwork {
    enum Kind: CaseIterable { case image, tokens, vector }

    let kind: Kind
    var random: Seeded
    private var nodes: [NodeProto] = []
    private var initializers: [TensorProto] = []
    /// By value, its channels.
    private var channels: [String: Int] = [:]

    init(_ kind: Kind, channels: Int, seed: UInt64) {
        self.kind = kind
        random = Seeded(seed)
        self.channels["x"] = channels
    }

    /// The edge by which a node reads its `slot`-th input.
    func edge(into output: String, _ slot: Int) -> Edge {
        Edge(node: nodes.firstIndex { $0.output == [output] } ?? -1, slot: slot)
    }

    private func shape(_ channels: Int) -> [Int?] {
        switch kind {
        case .image: [nil, channels, 5, 5]
        case .tokens: [nil, 5, channels]
        case .vector: [nil, channels]
        }
    }

    mutating func weight(_ shape: [Int], scale: Float) throws -> String {
        let numbers = (0..<shape.reduce(1, *)).map { _ in Float.random(in: -scale...scale, using: &random) }
        return try constant(numbers, shape)
    }

    mutating func constant(_ numbers: [Float], _ shape: [Int]) throws -> String {
        let name = "w\(initializers.count)"
        initializers.append(TensorProto(name: name, try TensorData(floats: numbers, shape: shape)))
        return name
    }

    mutating func add(
        _ operation: String, _ inputs: [String], channels: Int? = nil, _ attributes: AttributeProto...
    ) -> String {
        let output = "v\(nodes.count)"
        nodes.append(
            NodeProto(operation, inputs: inputs, outputs: [output], name: output, attributes: attributes))
        self.channels[output] = channels ?? self.channels[inputs[0]]
        return output
    }

    /// A linear layer.
    ///
    /// - Parameters:
    ///   - kernel: of an image's convolution.
    ///   - scale: of its weights, beside 1 over the root of their number.
    mutating func linear(
        _ input: String, to outputs: Int? = nil, hasBias: Bool = true, kernel: Int = 3, scale: Float = 1.5
    ) throws -> String {
        let inputs = channels[input] ?? 0
        let outputs = outputs ?? inputs
        let fanIn = kind == .image ? inputs * kernel * kernel : inputs
        let size = scale / Float(fanIn).squareRoot()
        switch kind {
        case .image:
            let parameters =
                [try weight([outputs, inputs, kernel, kernel], scale: size)]
                + (hasBias ? [try weight([outputs], scale: 0.3)] : [])
            return add(
                "Conv", [input] + parameters, channels: outputs,
                AttributeProto(name: "pads", ints: [Int](repeating: kernel / 2, count: 4)))
        case .tokens:
            let product = add(
                "MatMul", [input, try weight([inputs, outputs], scale: size)], channels: outputs)
            return hasBias ? add("Add", [product, try weight([outputs], scale: 0.3)]) : product
        case .vector:
            let parameters =
                [try weight([outputs, inputs], scale: size)]
                + (hasBias ? [try weight([outputs], scale: 0.3)] : [])
            return add(
                "Gemm", [input] + parameters, channels: outputs, AttributeProto(name: "transB", int: 1))
        }
    }

    /// Layers whose output is not linear in their input.
    mutating func body(_ input: String, depth: Int) throws -> String {
        var value = input
        for _ in 0..<depth { value = add("Relu", [try linear(value)]) }
        return try linear(value)
    }

    /// The same layers again, with weights of their own that are equal.
    mutating func copy(of body: String, reading input: String, from first: Int) throws -> String {
        var names = [input: input]
        for node in nodes[first...] {
            let inputs = node.input.map { name in
                guard let place = initializers.firstIndex(where: { $0.name == name }) else {
                    return names[name] ?? name
                }
                var twin = initializers[place]
                twin.name = "w\(initializers.count)"
                initializers.append(twin)
                return twin.name
            }
            let output = "v\(nodes.count)"
            nodes.append(
                NodeProto(
                    node.opType, inputs: inputs, outputs: [output], name: output, attributes: node.attribute))
            channels[output] = channels[node.output[0]]
            names[node.output[0]] = output
        }
        return names[body] ?? body
    }

    /// The number of nodes so far.
    var count: Int { nodes.count }

    /// The model, whose outputs are these values.
    func graph(_ outputs: String...) throws -> Graph {
        try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: shape(channels["x"] ?? 0))],
            outputs: outputs.map { ValueInfoProto(name: $0, .float32, shape: shape(channels[$0] ?? 0)) },
            initializers: initializers, nodes: nodes)
    }

    /// Samples of the model's input.
    mutating func samples(_ count: Int) throws -> NumpyArray {
        let shape = shape(channels["x"] ?? 0).map { $0 ?? count }
        return try NumpyArray(
            shape: shape,
            values: (0..<shape.reduce(1, *)).map { _ in Float.random(in: -1.5...1.5, using: &random) })
    }
}
