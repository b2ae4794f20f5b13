internal import Cluster
internal import ComputationGraph
internal import Journal
internal import Search
internal import Work

extension RunJournal {
    /// The bytes of weights that a run's states have; `nil` where they are not kept.
    ///
    /// - Throws: `JournalError` for a damaged journal.
    func weights(_ name: WeightsID, ofStage stage: Int) throws -> [UInt8]? {
        try records(ofStage: stage).first {
            $0.key.kind == WeightsItem.kind && $0.result.count == name.size
                && ContentHash.content(of: $0.result).sha256 == name.sha256
        }?.result
    }
}
