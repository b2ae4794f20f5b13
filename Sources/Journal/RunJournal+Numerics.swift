internal import Foundation
internal import GRDB
public import Work

extension RunJournal {
    /// The numerics of every coordinator that worked on the run, the first one first, and of workers that computed other
    /// bits than their coordinator.
    ///
    /// - Throws: `damaged`.
    public func numerics() throws(JournalError) -> [Numerics] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM numerics ORDER BY id").map { row in
                let digest: Data = try row.required("digest", file: file)
                let machine: String = try row.required("machine", file: file)
                // A journal of layout 3 that is only looked at has no checksum here.
                if row.hasColumn("checksum") {
                    let sum: Data = try row.required("checksum", file: file)
                    guard sum == RowChecksum.of(digest: digest, machine: machine) else {
                        throw JournalError.damaged(
                            file: file, reason: "a checksum of the table 'numerics' is wrong")
                    }
                }
                return Numerics(digest: Array(digest), machine: machine)
            }
        }
    }

    /// The machines of results whose bits are not those of `digest`.
    ///
    /// - Throws: `damaged`.
    public func machines(otherThan digest: [UInt8]) throws(JournalError) -> [String] {
        try numerics().filter { $0.digest != digest }.map(\.machine)
    }

    /// Checks that this machine computes the bits that the run's results so far were computed in, and notes its numerics.
    ///
    /// - Parameter allowsOthers: whether the run may go on with other bits.
    /// - Returns: the machines of results whose bits are others.
    /// - Throws: `differentNumerics` for other bits that are not allowed; `diskFull`, `damaged`, `notWritable`.
    public func check(_ own: Numerics, allowsOthers: Bool) throws(JournalError) -> [String] {
        let others = try machines(otherThan: own.digest)
        if let other = others.first, !allowsOthers {
            throw .differentNumerics(folder: folder, recorded: other, own: own.machine)
        }
        if try !numerics().contains(where: { $0.digest == own.digest }) { try note(own) }
        return others
    }

    /// Notes how a machine computes whose results are kept from now on. Once is enough; more often changes nothing.
    ///
    /// - Throws: `diskFull`, `damaged`, `notWritable`.
    public func note(_ numerics: Numerics) throws(JournalError) {
        guard try !self.numerics().contains(numerics) else { return }
        try write { database in
            try database.execute(
                sql: "INSERT INTO numerics (digest, machine, checksum) VALUES (?, ?, ?)",
                arguments: [
                    Data(numerics.digest), numerics.machine,
                    RowChecksum.of(digest: Data(numerics.digest), machine: numerics.machine),
                ])
        }
    }
}
