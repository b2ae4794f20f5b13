internal import ComputationGraph
public import Datasets
internal import Synchronization

/// Results in memory that several searches of one model on the same data share: what one has measured the others
/// need not.
///
/// A result is taken up only where block and samples are the very same, so that no search is changed by a bit.
public final class SharedResults: LevelJournal, Sendable {
    private struct Place: Hashable {
        let state: Mask
        let block: BlockID
    }

    private struct Measured {
        let samples: [Int]
        var scores: [Edge?: SampleScores] = [:]
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
        let edges = Dictionary(grouping: level.expansions, by: \.parent).mapValues { $0.map(\.edge) }
        return contents.withLock { contents in
            var found: [RecordedResult] = []
            for (index, parent) in level.parents.enumerated() {
                for (block, samples) in zip(parent.blocks.ids, parent.blocks.samples) {
                    guard let measured = contents.measured[Place(state: parent.mask, block: block)],
                        measured.samples == samples
                    else { continue }
                    for edge in edges[index] ?? [] {
                        guard let scores = measured.scores[edge] else { continue }
                        found.append(
                            RecordedResult(state: parent.mask, edge: edge, block: block, scores: scores))
                    }
                }
            }
            return found
        }
    }

    /// Keeps a task's scores, for this search and those after it.
    public func record(_ task: LevelTask, _ scores: [SampleScores], level: Int) {
        contents.withLock { contents in
            let place = Place(state: task.state, block: task.block)
            var measured = contents.measured[place] ?? Measured(samples: task.samples)
            if measured.samples != task.samples { measured = Measured(samples: task.samples) }
            for (edge, scores) in zip(task.edges, scores) where measured.scores[edge] == nil {
                measured.scores[edge] = scores
                contents.count += 1
            }
            contents.measured[place] = measured
        }
    }
}
