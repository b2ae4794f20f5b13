import ComputationGraph
import Datasets
import Engine
import Foundation
import ONNX

/// A reference model with its data, ready to evaluate.
struct ModelFixture {
    static let names = [
        "bert", "convnext-tiny", "densenet", "efficientnet-b0", "gpt2", "lstm", "mobilenetv3-small",
        "resnet18",
        "squeezenet", "swin", "unet", "vit",
    ]
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .appending(path: "Fixtures")

    let graph: Graph
    let dataset: Dataset
    let network: Network
    let candidates: Candidates

    init(_ name: String) throws {
        let models = ModelFixture.folder.appending(path: "models")
        graph = try Graph(ModelFile(contentsOf: models.appending(path: "\(name).onnx").path))
        dataset = try Dataset(
            contentsOf: models.appending(path: "\(name).npz").path,
            inputs: graph.inputs.map(InputSpecification.init))
        network = try Network(graph)
        candidates = try Candidates(of: graph, selection: .all)
    }

    func evaluator(_ loss: Loss? = nil, keptBytes: Int = 1 << 28) throws -> Evaluator {
        try Evaluator(
            network, dataset: dataset, loss: loss ?? .natural(for: dataset), keptBytes: keptBytes)
    }

    /// All samples of every input.
    var inputs: [String: NumpyArray] { dataset.arrays }

    /// A mask of up to `count` edges that a search could reach.
    func randomMask(_ count: Int, using generator: inout Seeded) -> Mask {
        var mask = Mask.empty
        for _ in 0..<count {
            guard let edge = candidates.expansions(of: mask, in: graph).randomElement(using: &generator)
            else { break }
            mask = mask.removing(edge)
        }
        return mask
    }
}

extension Mask {
    /// The edges of a mask that has no other units.
    var edges: [Edge] { units.compactMap(\.plainEdge) }
}

extension InputSpecification {
    init(_ port: ComputationGraph.Port) throws {
        try self.init(
            name: port.name, elementTypeName: port.elementType.name,
            shape: port.hasShape ? port.shape.enumerated().map { $0 == 0 ? nil : $1 } : nil)
    }
}

extension Dataset {
    /// A data set from arrays in memory.
    init(_ arrays: [(String, NumpyArray)], inputs: [ComputationGraph.Port]) throws {
        try self.init(
            NumpyArchive(bytes: NumpyArchive.encode(arrays), path: "memory"),
            inputs: inputs.map(InputSpecification.init))
    }
}

/// A model of a few nodes.
func smallModel(
    inputs: [ValueInfoProto], outputs: [ValueInfoProto], initializers: [TensorProto] = [], nodes: [NodeProto]
) throws -> Graph {
    var proto = ModelProto()
    proto.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
    proto.graph.input = inputs
    proto.graph.output = outputs
    proto.graph.initializer = initializers
    proto.graph.node = nodes
    return try Graph(ModelFile(unchecked: proto))
}

extension TensorProto {
    /// An initialiser of integers.
    init(_ name: String, int64s: [Int64]) {
        self.init()
        self.name = name
        dataType = Int32(ElementType.int64.rawValue)
        dims = [Int64(int64s.count)]
        rawData = int64s.withUnsafeBytes { Data($0) }
    }

    /// An initialiser of one number, without dimensions.
    init(_ name: String, scalar: Float) {
        self.init()
        self.name = name
        dataType = Int32(ElementType.float32.rawValue)
        rawData = withUnsafeBytes(of: scalar) { Data($0) }
    }
}

/// Scores as bits, so that NaN equals NaN and −0 is not 0.
struct Bits: Hashable, CustomStringConvertible {
    let losses: [UInt32]
    let correct: [UInt32]

    init(_ scores: SampleScores) {
        losses = scores.losses.map { $0.isNaN ? Float.nan.bitPattern : $0.bitPattern }
        correct = scores.correct
    }

    var description: String { "\(losses.map { Float(bitPattern: $0) })" }
}

/// Random numbers that are the same in every run (Marsaglia, Xorshift RNGs, 2003: 13, 7, 17).
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        for _ in 0..<8 { _ = next() }
    }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
