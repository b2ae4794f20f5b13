import ComputationGraph
import Datasets
import Foundation
import ONNX
import Testing

@testable import Engine

/// A case of Scripts/fixtures/make-loss-fixtures.py: the model a + b, its data, and what NumPy makes of it.
struct LossCase: Decodable {
    struct Scores: Decodable {
        let losses: [Float]
        let correct: [UInt32]
    }
    let loss: Loss
    let softmax: Bool
    let shape: [Int]
    let a: [Float]
    let b: [Float]
    let labels: [Int64]?
    let labelShape: [Int]?
    let targets: [Float]?
    let weights: [Float]?
    let sampleWeights: [Float]
    let full: Scores
    let cut: Scores

    static func all() throws -> [String: LossCase] {
        try JSONDecoder().decode(
            [String: LossCase].self,
            from: Data(contentsOf: ModelFixture.folder.appending(path: "losses.json")))
    }

    func graph() throws -> Graph {
        let dimensions: [Int?] = [nil] + shape.dropFirst().map { $0 }
        var nodes = [NodeProto("Add", inputs: ["a", "b"], outputs: [softmax ? "sum" : "y"])]
        if softmax { nodes.append(NodeProto("Softmax", inputs: ["sum"], outputs: ["y"])) }
        return try smallModel(
            inputs: ["a", "b"].map { ValueInfoProto(name: $0, .float32, shape: dimensions) },
            outputs: [ValueInfoProto(name: "y", .float32, shape: dimensions)], nodes: nodes)
    }

    func dataset(_ graph: Graph) throws -> Dataset {
        var arrays = [
            ("a", try NumpyArray(shape: shape, values: a)), ("b", try NumpyArray(shape: shape, values: b)),
        ]
        if let labels, let labelShape {
            arrays.append(("labels", try NumpyArray(shape: labelShape, values: labels)))
        }
        if let targets { arrays.append(("targets", try NumpyArray(shape: shape, values: targets))) }
        if let weights { arrays.append(("weights", try NumpyArray(shape: [shape[0]], values: weights))) }
        return try Dataset(arrays, inputs: graph.inputs)
    }
}

@Suite("A loss")
struct LossTests {
    static let names = [
        "classes", "weighted classes", "large logits", "probabilities", "tokens", "weighted tokens", "images",
        "next token", "targets", "weighted targets", "divergence", "divergence of tokens",
        "divergence of images",
        "divergence of probabilities", "own outputs", "absolute error", "cosine", "own absolute error",
        "own cosine",
        "own logits of sigmoids", "pixels",
    ]

    @Test(
        "is NumPy's, sample by sample, for the whole model and without an edge, with weights and right answers",
        arguments: names)
    func agreesWithNumPy(name: String) throws {
        let expected = try #require(try LossCase.all()[name])
        let graph = try expected.graph()
        let dataset = try expected.dataset(graph)
        let evaluator = try Evaluator(Network(graph), dataset: dataset, loss: expected.loss)
        let order = Array((0..<expected.shape[0]).reversed())
        let scores = try evaluator.evaluate(
            state: .empty, samples: order, expansions: [nil, Unit(Edge(node: 0, slot: 1))])
        for (score, reference) in zip(scores, [expected.full, expected.cut]) {
            let losses: [Float] = score.losses.reversed()
            #expect(losses.count == reference.losses.count)
            for (loss, wanted) in zip(losses, reference.losses) {
                #expect(
                    abs(loss - wanted) <= 2e-5 * max(1, wanted), "\(losses), expected \(reference.losses)")
                #expect(loss >= 0)
            }
            #expect(score.correct.reversed() == reference.correct)
        }
        #expect(
            try LossDescription(expected.loss, of: graph).weights(for: dataset) == expected.sampleWeights)
        // The unpruned model against itself is no approximation.
        if expected.loss.needsReference { #expect(scores[0].losses.allSatisfy { $0 == 0 }) }
    }

    @Test("is chosen by what the data holds")
    func naturalLoss() throws {
        let tokens = try smallModel(
            inputs: [ValueInfoProto(name: "ids", .int64, shape: [nil, 3])],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, 3])],
            nodes: [
                NodeProto(
                    "Cast", inputs: ["ids"], outputs: ["y"], attributes: [AttributeProto(name: "to", int: 1)])
            ])
        let ids = ("ids", try NumpyArray(shape: [2, 3], values: [1, 2, 3, 4, 5, 6] as [Int64]))
        func natural(_ extra: (String, NumpyArray)...) throws -> Loss {
            .natural(for: try Dataset([ids] + extra, inputs: tokens.inputs))
        }
        #expect(try natural() == .klDivergence)
        #expect(try natural(("labels", NumpyArray(shape: [2], values: [0, 1] as [Int64]))) == .crossEntropy)
        #expect(try natural(("labels", ids.1)) == .nextToken)
        #expect(
            try natural(("labels", NumpyArray(shape: [2, 3], values: [1, 2, -100, 4, 5, 6] as [Int64])))
                == .nextToken)
        #expect(
            try natural(("labels", NumpyArray(shape: [2, 3], values: [2, 3, -100, 5, 6, -100] as [Int64])))
                == .crossEntropy)
        #expect(
            try natural(("targets", NumpyArray(shape: [2, 3], values: [Float](repeating: 0, count: 6))))
                == .meanSquaredError)
    }

    @Test("refuses labels that don't fit, in a sentence that says how")
    func refusals() throws {
        let graph = try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: [nil, 3])],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, 3])],
            nodes: [NodeProto("Identity", inputs: ["x"], outputs: ["y"])])
        let x = ("x", try NumpyArray(shape: [2, 3], values: [Float](repeating: 0, count: 6)))
        func message(_ loss: Loss, _ extra: (String, NumpyArray)...) -> String {
            do {
                let dataset = try Dataset([x] + extra, inputs: graph.inputs)
                _ = try LossDescription(loss, of: graph).weights(for: dataset)
                let scores = try Evaluator(Network(graph), dataset: dataset, loss: loss)
                    .evaluate(state: .empty, samples: [0, 1], expansions: [nil])
                return "\(scores)"
            } catch { return "\(error)" }
        }
        func labels(_ shape: [Int], _ values: [Int64]) throws -> (String, NumpyArray) {
            ("labels", try NumpyArray(shape: shape, values: values))
        }
        #expect(message(.crossEntropy).contains("needs an array 'labels'"))
        #expect(message(.meanSquaredError).contains("needs an array 'targets'"))
        #expect(
            try message(.crossEntropy, labels([2], [0, 3])) == "the label 3 is outside the model's 3 classes")
        #expect(
            try message(.crossEntropy, labels([2, 3], [0, 1, 2, 0, 1, 2])).contains(
                "1 predictions per sample for 3 labels"))
        #expect(try message(.crossEntropy, labels([2], [0, -100])).contains("sample 1 has the label −100"))
        #expect(try message(.nextToken, labels([2], [0, 1])).contains("needs labels of shape [N, T]"))
        #expect(
            try message(.crossEntropy, labels([2, 1], [-100, -100])).contains("every sample has the weight 0")
        )
        #expect(
            try message(
                .meanSquaredError, ("targets", NumpyArray(shape: [2, 2], values: [0, 1, 2, 3] as [Float]))
            )
            .contains("the output has shape [2, 3], the targets have [2, 2]"))
    }

    @Test("of a model whose outputs are no numbers is no number, and never a wrong one")
    func nonFinite() throws {
        let graph = try smallModel(
            inputs: [ValueInfoProto(name: "x", .float32, shape: [nil, 2])],
            outputs: [ValueInfoProto(name: "y", .float32, shape: [nil, 2])],
            nodes: [NodeProto("Log", inputs: ["x"], outputs: ["y"])])
        let dataset = try Dataset(
            [
                ("x", NumpyArray(shape: [3, 2], values: [1, 2, -1, 1, 1, 1] as [Float])),
                ("targets", NumpyArray(shape: [3, 2], values: [Float](repeating: 0, count: 6))),
            ], inputs: graph.inputs)
        let scores = try Evaluator(Network(graph), dataset: dataset, loss: .meanSquaredError)
            .evaluate(state: .empty, samples: [0, 1, 2], expansions: [nil])[0]
        // log 2 squared, halved.
        #expect(abs(scores.losses[0] - 0.240_226_5) < 1e-6)
        #expect(scores.losses[1].isNaN)
        #expect(scores.losses[2] == 0)
    }
}
