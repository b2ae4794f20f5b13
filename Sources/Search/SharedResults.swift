internal import ComputationGraph
public import Datasets
internal import Synchronization

/// Results in memory that several searches of one model on the same data share: what one has measured the others
/// need not.
///
/// A result belongs to a set of removed edges, whichever state it was an expansion of. It is taken up only where block and
/// samples are the very same, so that no search is changed by a bit.
public final class SharedResults: LevelJournal, Sendable {
    private struct Place: Hashable {
        let mask: Mask
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

    /// The results of any earlier search that are among the level's.
    public func results(of level: Level) -> [RecordedResult] {
        contents.withLock { contents in
            level.expansions.flatMap { expansion -> [RecordedResult] in
                let parent = level.parents[expansion.parent]
                return zip(parent.blocks.ids, parent.blocks.samples).compactMap { block, samples in
                    guard let known = contents.measured[Place(mask: expansion.mask, block: block)],
                        known.samples == samples
                    else { return nil }
                    return RecordedResult(
                        state: parent.mask, edge: expansion.edge, block: block, scores: known.scores)
                }
            }
        }
    }

    /// Keeps a task's scores, for this search and those after it.
    public func record(_ task: LevelTask, _ scores: [SampleScores], level: Int) {
        contents.withLock { contents in
            for (edge, scores) in zip(task.edges, scores) {
                let place = Place(mask: edge.map { task.state.removing($0) } ?? task.state, block: task.block)
                if contents.measured[place]?.samples == task.samples { continue }
                contents.measured[place] = Measured(samples: task.samples, scores: scores)
                contents.count += 1
            }
        }
    }
}
