internal import ComputationGraph
public import Coordination
public import Datasets
internal import Engine
internal import ONNX

/// A run on the tensor engine. It holds the whole data set: local workers share its pages with the file cache.
public struct EngineComputation: WorkerComputation {
    private let evaluator: Evaluator
    /// The shards that are held.
    public let shards: [Int]

    /// Loads a run, after a check that model and data are the very files that the coordinator has.
    ///
    /// - Throws: `ClusterError.differentFile`, and what reading model and data throws.
    public init(_ run: RunDescription) throws {
        try EngineComputation.check(
            run.modelPath, ContentHash.digest(ofModel: run.modelPath), run.modelSHA256)
        try EngineComputation.check(run.dataPath, ContentHash.digest(ofFile: run.dataPath), run.dataSHA256)
        guard let loss = Loss(rawValue: run.loss) else { throw ClusterError.unknownLoss(run.loss) }
        let graph = try Graph(ModelFile(contentsOf: run.modelPath))
        let inputs = try graph.inputs.map { port in
            // As the coordinator reads it: the first dimension counts samples, whatever the export fixed it to.
            try InputSpecification(
                name: port.name, elementTypeName: port.elementType.name,
                shape: port.hasShape ? port.shape.enumerated().map { $0 == 0 ? nil : $1 } : nil)
        }
        let dataset = try Dataset(contentsOf: run.dataPath, inputs: inputs, limit: run.sampleLimit)
        guard dataset.samples == run.sharding.samples else {
            throw ClusterError.sampleCount(
                path: run.dataPath, expected: run.sharding.samples, found: dataset.samples)
        }
        evaluator = try Evaluator(Network(graph), dataset: dataset, loss: loss)
        shards = Array(0..<run.sharding.shards)
    }

    /// Computes a task on the engine.
    ///
    /// - Throws: `PermanentFailure` for what every worker would fail in, `EngineError` where memory is short.
    public func scores(of assignment: Assignment) throws -> [SampleScores] {
        do {
            return try evaluator.evaluate(
                state: assignment.state, samples: assignment.samples, expansions: assignment.edges)
        } catch let error as EngineError {
            // The engine computes the same everywhere; only memory differs from machine to machine.
            let sentence = "\(error)"
            if sentence.contains("memory") || sentence.contains("alloc") { throw error }
            throw PermanentFailure(sentence)
        }
    }

    private static func check(_ path: String, _ digest: [UInt8], _ expected: [UInt8]) throws {
        let found = ContentHash.hexadecimal(digest)
        let wanted = ContentHash.hexadecimal(expected)
        guard found == wanted else {
            throw ClusterError.differentFile(path: path, expected: wanted, found: found)
        }
    }
}
