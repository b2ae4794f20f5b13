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
