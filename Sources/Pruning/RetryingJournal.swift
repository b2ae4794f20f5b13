internal import Work

/// A journal for a search in this process: it waits for room on the disk.
final class RetryingJournal: WorkJournal, Sendable {
    private let journal: any WorkJournal & Sendable
    private let retry: DiskFullRetry

    init(_ journal: any WorkJournal & Sendable, _ retry: DiskFullRetry) {
        self.journal = journal
        self.retry = retry
    }

    func records(ofStage stage: Int) throws -> [WorkRecord] { try journal.records(ofStage: stage) }

    func keep(_ records: [WorkRecord]) throws { try retry.retrying { try journal.keep(records) } }

    func note(_ numerics: Numerics) throws { try retry.retrying { try journal.note(numerics) } }
}

/// Keeps no results: a training goes on from its checkpoint.
final class UnkeptResults: WorkJournal, Sendable {
    func records(ofStage stage: Int) -> [WorkRecord] { [] }
    func keep(_ records: [WorkRecord]) {}
    func note(_ numerics: Numerics) {}
}
