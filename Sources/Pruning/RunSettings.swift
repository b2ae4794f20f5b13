internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Search

/// Every setting that decides a run's result, as the journal keeps it.
struct RunSettings: Encodable {
    let search: SearchSettings
    let candidates: CandidateSelection
    let loss: String
    let samples: Int
    let shards: Int
    let blockSize: Int

    init(_ options: PruneOptions, _ workload: Workload) throws {
        search = options.search
        candidates = options.candidates
        loss = try workload.loss.text(for: workload.graph)
        samples = workload.division.sharding.samples
        shards = workload.division.sharding.shards
        blockSize = workload.division.sharding.blockSize
    }
}
