internal import Cluster
internal import ComputationGraph
internal import Journal
internal import ONNX
internal import Work

extension RunIdentity {
    /// What a run of this program is made from, here and now.
    ///
    /// - Parameters:
    ///   - model: the model as it was named.
    ///   - settings: every setting that decides the result.
    /// - Throws: `ContentHashError` for a file that cannot be read.
    init(_ workload: Workload, model: String, settings: some Encodable, commandLine: [String]) throws {
        self.init(
            modelPath: model,
            modelSHA256: ContentHash.hexadecimal(
                try ContentHash.digest(ofModel: workload.graph.model.path)),
            dataPath: workload.options.data, dataSHA256: try ContentHash.ofFile(workload.dataPath),
            settings: try RunIdentity.json(of: settings), version: Espalier.version,
            commandLine: commandLine, directory: RunIdentity.currentDirectory)
    }
}

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
