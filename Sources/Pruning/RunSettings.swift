internal import Cluster
internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Foundation
internal import Journal
internal import Search
internal import Work

/// Every setting that decides a run's result, as the journal keeps it.
struct RunSettings: Codable {
    private(set) var search: SearchSettings
    let candidates: CandidateSelection
    /// Left out for edges that read zeros, which is what older programs did.
    let units: [String]?
    let replacement: Replacement?
    /// How channels, heads and neurons are divided; left out where none may go.
    let chunking: Chunking?
    let loss: String
    let samples: Int
    let shards: Int
    let blockSize: Int
    /// The SHA-256 of the samples that layers are fitted on; left out where nothing is recovered.
    let fitSamples: String?

    init(_ options: PruneOptions, _ workload: Workload) throws {
        search = options.search
        candidates = options.candidates
        let isUsual = options.units == UnitSelection()
        units = isUsual ? nil : options.units.kinds.map(\.rawValue).sorted()
        replacement = isUsual ? nil : options.units.replacement
        chunking = options.units.kinds.contains(where: \.isSliced) ? options.units.chunking : nil
        loss = try workload.loss.text(for: workload.graph)
        samples = workload.division.sharding.samples
        shards = workload.division.sharding.shards
        blockSize = workload.division.sharding.blockSize
        fitSamples = workload.fit.map { ContentHash.hexadecimal($0.content.sha256) }
    }
}

// MARK: Going on with others

extension RunSettings {
    /// A setting as the command line gives it.
    struct Given {
        /// The option's name.
        let option: String
        /// Its value; `nil` where it was not given and nothing takes its place.
        let value: String?

        init(_ option: String, _ value: String?) { (self.option, self.value) = (option, value) }
    }

    /// What only ends a search: whatever was measured before stays true.
    var ends: [Given] {
        [
            Given("--steps", search.steps.map(String.init)),
            Given("--until", search.until.map(\.description)),
            Given("--max-loss-increase", search.maximumLossIncrease.map { "\($0)" }),
        ]
    }

    /// What decides which removals are measured and chosen.
    private var choices: [Given] {
        let recovery = search.recovery.map(\.description)
        let screening = search.screening
        let isShortlist = screening?.criterion == .lossAtCut
        return [
            Given("--strategy", search.strategy.description),
            Given("--recover", recovery), Given("--step-removals", search.stepRemovals.map(String.init)),
            Given("--objective", search.objective.rawValue),
            Given("--per (which --until sets)", search.per?.rawValue ?? "removal"),
            Given("--max-accuracy-drop", search.maximumAccuracyDrop.map { "\($0)" }),
            Given("--no-bounds", search.usesBounds ? nil : "given"),
            Given("--candidates", candidates.text),
            Given("--units", units?.joined(separator: ",") ?? "edges"),
            Given("--replace", (replacement ?? .zero).rawValue),
            Given(
                "--units, --within or --round-to", chunking.flatMap { try? RunIdentity.json(of: $0) }),
            Given(isShortlist ? "--shortlist" : "--screen", screening.map { "\($0.perState)" }),
            Given("--audit", screening.map { "\($0.audits)" }),
            Given("--audit-seed", screening.map { "\($0.seed)" }),
            Given("--halving", screening?.halving.map { $0.map(String.init).joined(separator: ",") }),
            Given("--loss", loss), Given("--samples", "\(samples)"), Given("--shards", "\(shards)"),
            Given("--block-size", "\(blockSize)"), Given("--fit-data", fitSamples.map { "SHA-256 \($0)" }),
        ]
    }

    /// What settings are to those of the run that is resumed.
    ///
    /// - Parameters:
    ///   - recorded: the run's, as JSON.
    ///   - given: those that are asked for now.
    ///   - note: told of every setting that ends the run elsewhere.
    static func comparison(_ recorded: String, _ given: String, note: (String) -> Void) -> SettingsComparison
    {
        let plain = SettingsComparison(recorded, given)
        guard plain != .same, let own = RunSettings(json: recorded), let new = RunSettings(json: given) else {
            return plain
        }
        func text(_ setting: Given) -> String { setting.value ?? "none" }
        for (old, new) in zip(own.choices, new.choices)
        where (old.option, old.value) != (new.option, new.value) {
            // A list that was made in another way has another name.
            let field = old.value == nil ? new.option : old.option
            return .other(field: field, recorded: text(old), given: text(new))
        }
        // Settings that no option shows.
        guard own.endingElsewhere(as: new) == new else { return plain }
        for (old, new) in zip(own.ends, new.ends) where old.value != new.value {
            note("going on with \(new.option) \(text(new)) in the place of \(text(old))")
        }
        // Under a price the budget decides what is worth expanding; the limit of the loss, which states a beam keeps.
        let isPriced = new.search.per != nil && own.search.until != new.search.until
        return .ending(
            reopens: isPriced || own.search.maximumLossIncrease != new.search.maximumLossIncrease)
    }

    private init?(json: String) {
        guard let settings = try? JSONDecoder().decode(RunSettings.self, from: Data(json.utf8)) else {
            return nil
        }
        self = settings
    }

    private func endingElsewhere(as other: RunSettings) -> RunSettings {
        var settings = self
        settings.search.steps = other.search.steps
        settings.search.until = other.search.until
        settings.search.maximumLossIncrease = other.search.maximumLossIncrease
        return settings
    }
}

extension RunSettings: Equatable {}

extension CandidateSelection {
    /// The selection as it was asked for.
    fileprivate var text: String {
        switch self {
        case .all: "all"
        case .branches: "branches"
        case .blocks: "blocks"
        case .matching(let pattern): pattern
        case .edges(let edges): edges.map(\.description).joined(separator: " ")
        }
    }
}
