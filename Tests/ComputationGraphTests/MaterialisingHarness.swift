import ComputationGraph
import Foundation
import ONNX
import Testing

/// Materialises masks of a model file for checks in another language: a development harness, not a test of its own.
///
/// `MATERIALISE_JOB` names a JSON file: `{"model": path, "probes": [{"inputs": [[2, 3]], "shapes": {"x": [2, 3]}}],
/// "masks": [{"edges": ["3:1"], "output": path}]}`. Without it nothing runs.
struct MaterialisingHarness {
    private struct Job: Decodable {
        struct Probe: Decodable {
            let inputs: [[Int]]
            let shapes: [String: [Int]]
        }
        struct Entry: Decodable {
            let edges: [String]
            let output: String
        }
        let model: String
        let probes: [Probe]
        let masks: [Entry]
    }

    private static let jobs = ProcessInfo.processInfo.environment["MATERIALISE_JOB"].map { $0.split(separator: ":").map(String.init) }

    @Test(.enabled(if: jobs != nil)) func materialisesTheJobsOfTheEnvironment() throws {
        for path in Self.jobs ?? [] {
            let job = try JSONDecoder().decode(Job.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
            let graph = try Graph(ModelFile(contentsOf: job.model))
            let shapes = ValueShapes(
                probes: job.probes.map { probe in
                    .init(inputShapes: probe.inputs, shapes: graph.values.map { $0.constant?.shape ?? probe.shapes[$0.name] })
                })
            for entry in job.masks {
                do {
                    let model = try graph.materialise(Mask(entry.edges.compactMap(Edge.init)), shapes: shapes)
                    try ModelFile(unchecked: model).write(to: entry.output)
                } catch { Issue.record("\(job.model) \(entry.edges): \(error)") }
            }
        }
    }
}
