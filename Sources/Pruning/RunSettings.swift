internal import Cluster
internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Search
internal import Work

/// Every setting that decides a run's result, as the journal keeps it.
struct RunSettings: Encodable {
    let search: SearchSettings
    let candidates: CandidateSelection
    /// Left out for edges that read zeros, which is what older programs did.
    let units: [String]?
    let replacement: Replacement?
    /// How channels, heads and neurons are divided; left out where none may go.
    let chunking: Chunking?
    let loss: String
    let samples: Int
    let shards: Int
    let blockSize: Int
    /// The SHA-256 of the samples that layers are fitted on; left out where nothing is recovered.
    let fitSamples: String?

    init(_ options: PruneOptions, _ workload: Workload) throws {
        search = options.search
        candidates = options.candidates
        let isUsual = options.units == UnitSelection()
        units = isUsual ? nil : options.units.kinds.map(\.rawValue).sorted()
        replacement = isUsual ? nil : options.units.replacement
        chunking = options.units.kinds.contains(where: \.isSliced) ? options.units.chunking : nil
        loss = try workload.loss.text(for: workload.graph)
        samples = workload.division.sharding.samples
        shards = workload.division.sharding.shards
        blockSize = workload.division.sharding.blockSize
        fitSamples = workload.fit.map { ContentHash.hexadecimal($0.content.sha256) }
    }
}
