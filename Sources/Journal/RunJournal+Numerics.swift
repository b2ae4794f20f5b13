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
            try Row.fetchAll(database, sql: "SELECT digest, machine FROM numerics ORDER BY id").map {
                let digest: Data = try $0.required("digest", file: file)
                return Numerics(digest: Array(digest), machine: try $0.required("machine", file: file))
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
                sql: "INSERT INTO numerics (digest, machine) VALUES (?, ?)",
                arguments: [Data(numerics.digest), numerics.machine])
        }
    }
}
