import ComputationGraph
import Datasets
import Foundation
import ONNX

@testable import Engine

/// A bundled model with what PyTorch found in double precision (Scripts/reference/gates.py).
struct GateReference: Decodable {
    let samples: Int
    let edges: [String]
    let loss: Double
    let gradients: [Double]
    let fisher: [Double]
    let perSample: [[Double]]
    let hessian: [[Double]]
    let gaussNewton: [[Double]]
    let changes: [Double]
    let magnitude: [Double]
    let synflow: [Double]
    let flow: [Double]

    static let names = ["digits-resnet", "digits-vit"]

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    static func named(_ name: String) throws -> GateReference {
        let file = root.appending(path: "Tests/Fixtures/gates/\(name).json")
        return try JSONDecoder().decode(GateReference.self, from: Data(contentsOf: file))
    }

    /// The bundled model on the samples that the reference was made with.
    static func network(_ name: String) throws -> Network {
        try Network(Graph(ModelFile(contentsOf: root.appending(path: "Examples/\(name)/model.onnx").path)))
    }

    static func dataset(_ name: String, graph: Graph, limit: Int) throws -> Dataset {
        try Dataset(
            contentsOf: root.appending(path: "Examples/\(name)/calibration.npz").path,
            inputs: graph.inputs.map {
                try InputSpecification(name: $0.name, elementTypeName: $0.elementType.name, shape: nil)
            }, limit: limit)
    }

    static func evaluator(_ name: String, _ reference: GateReference, loss: Loss = .crossEntropy) throws
        -> GateEvaluator
    {
        let network = try network(name)
        return try GateEvaluator(
            network, dataset: dataset(name, graph: network.graph, limit: reference.samples), loss: loss,
            edges: reference.edges.compactMap(Edge.init))
    }
}

/// The largest difference, relative to the largest expected value.
func distance(_ found: [Double], _ expected: [Double]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let largest = expected.reduce(0) { max($0, $1.magnitude) }
    return zip(found, expected).reduce(0) { worst, pair in
        let difference = (pair.0 - pair.1).magnitude / largest
        return difference.isNaN ? .infinity : max(worst, difference)
    }
}
