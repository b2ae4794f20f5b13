internal import Cluster
internal import ComputationGraph
internal import Coordination
internal import Engine
internal import Logging
internal import ONNX
internal import Search

/// Who computes: this process alone, or worker processes on this machine.
struct Team {
    /// Worker processes; 0 computes in this process.
    let workers: Int
    let logger: Logger
    let interruption: Interruption
    /// Called after results were folded; what it throws ends the search.
    let progress: @Sendable (LevelRace) throws -> Void

    /// Gives `body` an evaluator of a workload that lives as long as the call.
    ///
    /// - Parameter journal: keeps every result before it counts.
    func evaluate<Value>(
        _ workload: Workload, journal: any LevelJournal & Sendable,
        _ body: (any LevelEvaluator) async throws -> Value
    ) async throws -> Value {
        guard workers > 0 else {
            let evaluator = try workload.evaluator()
            return try await body(
                LocalEvaluator(journal: journal, progress: progress) { task in
                    try evaluator.evaluate(state: task.state, samples: task.samples, expansions: task.edges)
                })
        }
        let cluster = try LocalCluster(
            workers: workers,
            settings: CoordinatorSettings(run: workload.runDescription(), softwareVersion: Espalier.version),
            journal: journal, logger: logger, progress: progress)
        defer { cluster.shutdown() }
        interruption.onRequest { cluster.evaluator.interrupt() }
        do { return try await body(cluster.evaluator) } catch ClusterError.interrupted { throw Interrupted() }
    }
}

extension Workload {
    /// What workers have to know of this workload.
    fileprivate func runDescription() throws -> RunDescription {
        try RunDescription(
            session: .random(in: .min ... .max), modelPath: AbsolutePath.of(graph.model.path),
            modelSHA256: ContentHash.digest(ofModel: graph.model.path), dataPath: AbsolutePath.of(dataPath),
            dataSHA256: ContentHash.digest(ofFile: dataPath), sampleLimit: options.samples,
            loss: loss.rawValue,
            sharding: division.sharding, memoryBudget: options.memory)
    }
}
