import ComputationGraph
import Datasets
import Foundation
import ONNX
import Testing

@testable import Report
@testable import Search

/// x → Relu "act" → a; Add "sum" (a, x) → y; Mul "scale" (y, a) → z.
func sampleGraph() throws -> Graph {
    var model = ModelProto()
    model.irVersion = 8
    model.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
    model.graph.node = [
        NodeProto("Relu", inputs: ["x"], outputs: ["a"], name: "act"),
        NodeProto("Add", inputs: ["a", "x"], outputs: ["y"], name: "sum"),
        NodeProto("Mul", inputs: ["y", "a"], outputs: ["z"], name: "scale, \"last\""),
    ]
    model.graph.input = [ValueInfoProto(name: "x", .float32, shape: [nil, 4])]
    model.graph.output = [ValueInfoProto(name: "z", .float32, shape: [nil, 4])]
    return try Graph(ModelFile(unchecked: model))
}

/// A state that removes edges of `sampleGraph`.
func state(
    _ edges: [Edge], loss: Double, correct: Int? = nil, parameters: Int, flops: Int, nonFinite: Int = 0
) -> State {
    State(
        variant: Variant(Mask(edges)), unit: edges.last.map { Unit($0) }, loss: loss, objective: 0,
        correct: correct, sampleLosses: [],
        cost: Cost(parameters: parameters, flops: flops), nonFiniteLosses: nonFinite)
}

func workCount(_ candidates: Int, _ done: Int, _ bruteForce: Int, _ oracle: Int, _ tasks: Int)
    -> WorkCount
{
    var work = WorkCount()
    work.candidates = candidates
    work.blockEvaluations = done
    work.bruteForceBlockEvaluations = bruteForce
    work.oracleBlockEvaluations = oracle
    work.tasks = tasks
    return work
}

/// A beam search of width 2 over 40 samples with 50 counted labels, in 2 shards and blocks of 8.
func sampleSetup(labels: Int? = 50, heldOut: HeldOutData? = nil) throws -> RunSetup {
    RunSetup(
        settings: SearchSettings(strategy: .beam(width: 2), steps: 2, until: Budget("flops=0.5")),
        loss: "cross-entropy",
        division: SampleDivision(
            sharding: try Sharding(samples: 40, shards: 2, blockSize: 8),
            weights: [Float](repeating: 1, count: 40)),
        countedLabels: labels.map { LabelCounts(perSample: [$0]) }, heldOut: heldOut)
}

/// The summary of such a search: base 0.5, then 0.75 and 1.0, then 0.1 + 0.2.
func sampleSummary(labels: Int? = 50, last: Double = 0.1 + 0.2, nonFinite: Int = 0, mixed: [String] = [])
    throws -> RunSummary
{
    let first = Edge(node: 1, slot: 1)
    let second = Edge(node: 2, slot: 0)
    let correct: (Int) -> Int? = { labels == nil ? nil : $0 }
    let base = state([], loss: 0.5, correct: correct(40), parameters: 2000, flops: 1_234_567)
    let best = state([first], loss: 0.75, correct: correct(30), parameters: 1500, flops: 1_000_000)
    let other = state([second], loss: 1, correct: correct(20), parameters: 1800, flops: 900_000)
    let end = state(
        [first, second], loss: last, correct: correct(45), parameters: 1000, flops: 500_000,
        nonFinite: nonFinite)
    let levels = [[base], [best, other], [end]]
    let works = [workCount(1, 5, 5, 5, 5), workCount(3, 10, 15, 8, 4), workCount(3, 5, 20, 4, 2)]
    let result = SearchResult(
        base: base, path: [best, end], levels: Array(levels.dropFirst()), work: works)

    var record = RunRecord(version: "1", model: "a.onnx", data: "d.npz")
    record.reduce(.began(try sampleSetup(labels: labels)), at: .seconds(10))
    for (number, (states, work)) in zip(levels, works).enumerated() {
        record.reduce(.levelFinished(level: number, states: states, work: work), at: .seconds(20))
    }
    record.reduce(
        .ended(RunEnding(result, graph: try sampleGraph(), workers: 4, mixedNumerics: mixed)),
        at: .seconds(75.25))
    return try #require(record.summary)
}
