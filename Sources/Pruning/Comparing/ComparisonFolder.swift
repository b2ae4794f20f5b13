internal import Cluster
internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Foundation
internal import Journal
internal import ONNX
internal import Report
internal import Search
internal import Work

/// The folder that keeps a comparison: every result as it is measured, and in the end a model for each strategy.
struct ComparisonFolder {
    /// The folder.
    let path: String
    /// The results on disk.
    let journal: RunJournal
    private let isNew: Bool

    /// Begins in a folder, or goes on with what it holds.
    ///
    /// Results belong to removals, whichever strategy asked for them: strategies, seeds and where searches end may change.
    ///
    /// - Returns: `nil` where nothing is to be kept.
    /// - Throws: `JournalError`, `InputError` for files in the way, errors of the model that computes.
    init?(
        _ options: CompareOptions, _ workload: Workload, strategies: [String], _ room: DiskFullRetry,
        note: (String) -> Void
    ) throws {
        guard let folder = options.folder else { return nil }
        path = folder
        isNew = !options.resumes
        if isNew, !RunJournal.exists(in: folder) {
            try OutputFile.checkFresh(folder, Self.reports + strategies.map(Self.fileName(of:)))
        }
        let identity = try RunIdentity(
            workload, model: options.model, settings: CompareSettings(options, workload),
            commandLine: options.commandLine)
        journal = try RunJournal.opened(
            in: folder, identity, resumes: options.resumes, allowsOtherVersion: options.allowsOtherVersion,
            room, comparing: CompareSettings.comparison)
        try journal.checkNumerics(
            workload.numericsProof(), allowsOthers: options.allowsMixedNumerics, room, note: note)
    }

    /// What is written besides models.
    private static let reports = ["comparison.json", "comparison.csv", "comparison.txt", "report.html"]

    /// The name of a strategy's model.
    static func fileName(of strategy: String) -> String { strategy.replacing(":", with: "-") + ".onnx" }

    /// Takes away a folder in which nothing was measured.
    func abandon() { if isNew { journal.abandonWithoutResults() } }

    /// Writes the model of what a search found, checked by running it.
    ///
    /// - Returns: the file, or why there is none.
    func write(_ found: SearchResult, of strategy: String, _ workload: Workload, _ room: DiskFullRetry) throws
        -> String
    {
        let state = found.path.last ?? found.base
        let file = path + "/" + Self.fileName(of: strategy)
        do {
            let model = try MaterialisedModel(state.mask, workload: workload.refitted(state.recovered))
            try room.retrying { try model.write(to: file) }
            return file
        } catch let error as MaterialisingError { return "none: \(error)" } catch let error as NonFiniteError
        {
            return "none: \(error)"
        }
    }

    /// Writes the comparison, and notes that it is over.
    func finish(_ comparison: Comparison, _ options: CompareOptions, _ room: DiskFullRetry) throws {
        try room.retrying { try JSONOutput.write(comparison, to: path + "/comparison.json") }
        try room.retrying { try TextOutput.write(comparison.csv, to: path + "/comparison.csv") }
        try room.retrying {
            try TextOutput.write(comparison.text(width: TextTable.width), to: path + "/comparison.txt")
        }
        let page = comparison.html(options)
        try room.retrying { try TextOutput.write(page, to: path + "/report.html") }
        try room.retrying { try journal.complete(["strategies": comparison.strategies.map(\.strategy)]) }
    }
}

/// What decides the losses that a comparison measures, whatever its strategies are.
private struct CompareSettings: Codable, Equatable {
    let loss: String
    let samples: Int
    let shards: Int
    let sizeOfBlocks: Int
    let candidates: CandidateSelection
    let units: UnitSelection
    let fitSamples: String?
    /// What may change: it decides which losses are measured.
    private(set) var strategies: [String]

    init(_ options: CompareOptions, _ workload: Workload) throws {
        loss = try workload.loss.text(for: workload.graph)
        let sharding = workload.division.sharding
        (samples, shards, sizeOfBlocks) = (sharding.samples, sharding.shards, sharding.blockSize)
        (candidates, units) = (options.candidates, options.units)
        fitSamples = workload.fit.map { ContentHash.hexadecimal($0.content.sha256) }
        strategies =
            options.strategies.map(\.description) + [try RunIdentity.json(of: options.search)]
            + ["\(options.seeds) seeds"]
    }

    private static let options = [
        "loss": "--loss", "samples": "--samples", "shards": "--shards", "sizeOfBlocks": "--block-size",
        "candidates": "--candidates", "units": "--units, --within, --round-to or --replace",
        "fitSamples": "--fit-data",
    ]

    static func comparison(_ recorded: String, _ given: String) -> SettingsComparison {
        let decoder = JSONDecoder()
        guard var own = try? decoder.decode(CompareSettings.self, from: Data(recorded.utf8)),
            let new = try? decoder.decode(CompareSettings.self, from: Data(given.utf8)), own != new
        else { return SettingsComparison(recorded, given, options: options) }
        own.strategies = new.strategies
        guard own != new else { return .ending(reopens: false) }
        let text = (try? RunIdentity.json(of: own)) ?? recorded
        return SettingsComparison(text, given, options: options)
    }
}

/// Keeps what a comparison measures: in memory for its later searches, and on disk where it has a folder.
final class ComparisonJournal: WorkJournal, Sendable {
    /// What the searches share.
    let shared = SharedResults()
    private let kept: RunJournal?

    /// Takes up what is on disk.
    ///
    /// - Throws: `JournalError` for a damaged journal.
    init(_ kept: RunJournal?) throws {
        self.kept = kept
        try kept?.forEachRecord { [shared] in try shared.keep([$0]) }
    }

    func records(ofStage stage: Int) throws -> [WorkRecord] { try kept?.records(ofStage: stage) ?? [] }

    func keep(_ records: [WorkRecord]) throws {
        try kept?.keep(records)
        try shared.keep(records)
    }

    func note(_ numerics: Numerics) throws { try kept?.note(numerics) }
}
