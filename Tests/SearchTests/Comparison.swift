import ComputationGraph
import Search

/// Everything of a state that must not depend on how it was found, to the last bit.
struct Fingerprint: Hashable, CustomStringConvertible {
    let mask: Mask
    let loss: UInt64
    let objective: UInt64
    let correct: Int?
    let losses: [UInt32]
    let cost: Cost

    init(_ state: State, samples: Bool = true) {
        mask = state.mask
        loss = state.loss.bitPattern
        objective = state.objective.bitPattern
        correct = state.correct
        losses = samples ? state.sampleLosses.map(\.bitPattern) : []
        cost = state.cost
    }

    init(_ entry: NaiveSearch.Entry, samples: Bool = true) {
        mask = entry.mask
        loss = entry.loss.bitPattern
        objective = entry.objective.bitPattern
        correct = entry.correct
        losses = samples ? entry.losses.map(\.bitPattern) : []
        cost = entry.cost
    }

    var description: String { "\(mask) \(Double(bitPattern: loss)) (\(Double(bitPattern: objective)))" }
}

extension LevelOutcome {
    var fingerprints: [Fingerprint] { best.map { Fingerprint($0) } }
}

extension SearchResult {
    /// The kept states; the per-sample losses of the last level alone are still there.
    var fingerprints: [[Fingerprint]] {
        levels.enumerated().map { index, level in
            level.map { Fingerprint($0, samples: index == levels.count - 1) }
        }
    }
}
