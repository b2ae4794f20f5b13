internal import Journal
internal import Work

extension RunJournal {
    /// Begins a run in a folder, or goes on with the one that it holds. Waits where the disk is full.
    ///
    /// - Parameters:
    ///   - resumes: whether there has to be one.
    ///   - compare: what the second settings are to the first, those on record.
    /// - Throws: `JournalError`, `Interrupted`.
    static func opened(
        in folder: String, _ identity: RunIdentity, resumes: Bool, allowsOtherVersion: Bool,
        _ room: DiskFullRetry, comparing compare: (String, String) -> SettingsComparison
    ) throws -> RunJournal {
        try room.retrying {
            try resumes
                ? resume(
                    in: folder, identity: identity, allowsOtherVersion: allowsOtherVersion, comparing: compare
                )
                : create(in: folder, identity: identity)
        }
    }

    /// Compares and notes how this machine computes, and tells of machines that computed other bits.
    ///
    /// - Parameter digest: what this machine computes on the reference block.
    /// - Throws: `JournalError` for other bits that are not allowed, `Interrupted`.
    func checkNumerics(
        _ digest: [UInt8], allowsOthers: Bool, _ room: DiskFullRetry, note: (String) -> Void
    ) throws {
        let own = Numerics(digest: digest, machine: Workload.machine)
        for machine in try room.retrying({ try check(own, allowsOthers: allowsOthers) }) {
            note("warning: results of this run differ in the last bits from this machine's: \(machine)")
        }
    }
}
