internal import Foundation
internal import GRDB

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

extension RunJournal {
    /// The numerics of every coordinator that worked on the run, the first one first; none for a run of a version that
    /// did not keep them.
    ///
    /// - Throws: `damaged`.
    public func numerics() throws(JournalError) -> [Numerics] {
        try read { database in
            guard try database.tableExists(JournalLayout.numericsTable) else { return [] }
            return try Row.fetchAll(database, sql: "SELECT digest, machine FROM numerics ORDER BY id").map {
                let digest: Data = try $0.required("digest", file: file)
                return Numerics(digest: Array(digest), machine: try $0.required("machine", file: file))
            }
        }
    }

    /// Checks that this machine computes the bits that the run's results so far were computed in, and notes its numerics.
    ///
    /// - Parameter allowsOthers: whether the run may go on with other bits.
    /// - Returns: the machines of results whose bits are others.
    /// - Throws: `differentNumerics` for other bits that are not allowed; `diskFull`, `damaged`, `notWritable`.
    public func check(_ own: Numerics, allowsOthers: Bool) throws(JournalError) -> [String] {
        let kept = try numerics()
        let others = kept.filter { $0.digest != own.digest }.map(\.machine)
        if let other = others.first, !allowsOthers {
            throw .differentNumerics(folder: folder, recorded: other, own: own.machine)
        }
        if !kept.contains(where: { $0.digest == own.digest }) {
            try write { database in
                try JournalLayout.createNumerics(database)
                try database.execute(
                    sql: "INSERT INTO numerics (digest, machine) VALUES (?, ?)",
                    arguments: [Data(own.digest), own.machine])
            }
        }
        return others
    }
}
