/// How a machine computes: what it made of a run's reference block. Machines with the same digest compute the same bits.
public struct Numerics: Sendable, Hashable {
    /// SHA-256 of the losses on the reference block, 32 bytes.
    public let digest: [UInt8]
    /// The machine in words: its processor, and what it computes with.
    public let machine: String

    /// The numerics of a machine.
    public init(digest: [UInt8], machine: String) {
        self.digest = digest
        self.machine = machine
    }
}

/// Keeps folded results, so that a run that was stopped goes on where it was.
public protocol WorkJournal: AnyObject {
    /// The results of a stage that were kept, in the order in which they were recorded.
    func records(ofStage stage: Int) throws -> [WorkRecord]
    /// Keeps results, all or none. They count as kept once this has returned.
    func keep(_ records: [WorkRecord]) throws
    /// Notes that results come from a machine that computes other bits, before the first of them is kept.
    func note(_ numerics: Numerics) throws
}
