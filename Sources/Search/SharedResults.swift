internal import ComputationGraph
internal import Datasets
internal import Synchronization
public import Work

/// Results in memory that several searches of one model on the same data share: what one has measured the others
/// need not.
///
/// A result belongs to a variant, whichever state it was an expansion of. It is taken up only where block and samples are the
/// very same, so that no search is changed by a bit.
public final class SharedResults: WorkJournal, Sendable {
    private struct Place: Hashable {
        let variant: Variant
        let means: ContentID?
        let fitData: ContentID?
        let block: BlockID
    }

    private struct Measured {
        let samples: [Int]
        let scores: SampleScores
    }

    private struct Contents {
        var measured: [Place: Measured] = [:]
        var count = 0
    }

    private let contents = Mutex(Contents())

    /// Nothing yet.
    public init() {}

    /// How many block evaluations have been recorded.
    public var evaluations: Int { contents.withLock { $0.count } }

    /// Nothing: a search asks by what it wants to know, whatever its stage.
    public func records(ofStage stage: Int) -> [WorkRecord] { [] }

    /// Keeps scores, for this search and those after it.
    public func keep(_ records: [WorkRecord]) throws {
        for record in records where record.key.kind == LossItem.kind {
            let (item, scores) = try record.losses()
            contents.withLock { contents in
                for (variant, scores) in zip(item.variants, scores) {
                    let place = Place(
                        variant: variant, means: item.means, fitData: item.fitData, block: item.block)
                    if contents.measured[place]?.samples == item.samples { continue }
                    contents.measured[place] = Measured(samples: item.samples, scores: scores)
                    contents.count += 1
                }
            }
        }
    }

    /// Nothing: no later run takes these results.
    public func note(_ numerics: Numerics) {}

    /// Folds what any earlier search has measured of a level's expansions.
    func fill(_ race: inout LevelRace) {
        for (index, expansion) in race.level.expansions.enumerated() {
            let blocks = race.level.parents[expansion.parent].blocks
            for (place, (block, samples)) in zip(blocks.ids, blocks.samples).enumerated() {
                let key = Place(
                    variant: expansion.variant, means: race.means, fitData: race.fitData, block: block)
                let known = contents.withLock { $0.measured[key] }
                guard let known, known.samples == samples else { continue }
                race.fold(
                    RaceTask(expansions: [index], parent: expansion.parent, place: place), [known.scores])
            }
        }
    }
}
