public import ComputationGraph
public import Datasets

/// A result that was kept: the scores of one expansion on one block.
public struct RecordedResult: Sendable, Hashable {
    /// The parent state's mask.
    public let state: Mask
    /// The removed edge; `nil` for the state itself.
    public let edge: Edge?
    /// The block that was evaluated.
    public let block: BlockID
    /// Per-sample losses and correct predictions, in the block's order.
    public let scores: SampleScores

    /// A result as it was folded.
    public init(state: Mask, edge: Edge?, block: BlockID, scores: SampleScores) {
        self.state = state
        self.edge = edge
        self.block = block
        self.scores = scores
    }
}

/// Keeps folded results, so that a run that was stopped goes on where it was.
public protocol LevelJournal: AnyObject {
    /// The results of an earlier run for a level.
    func results(of level: Level) throws -> [RecordedResult]
    /// Keeps a task's scores. They count as kept once this has returned.
    func record(_ task: LevelTask, _ scores: [SampleScores], level: Int) throws
    /// Keeps the scores of several tasks at once: all of them, or none.
    func record(_ batch: [(task: LevelTask, scores: [SampleScores])], level: Int) throws
}

extension LevelJournal {
    /// Keeps the tasks one by one: for journals to which many at once cost no less.
    public func record(_ batch: [(task: LevelTask, scores: [SampleScores])], level: Int) throws {
        for (task, scores) in batch { try record(task, scores, level: level) }
    }
}

extension LevelRace {
    /// Takes up results of an earlier run. Those that do not belong to this level are passed over.
    public mutating func replay(_ results: [RecordedResult]) {
        guard !results.isEmpty else { return }
        var parents: [Mask: Int] = [:]
        for (index, parent) in level.parents.enumerated() { parents[parent.mask] = index }
        var indices: [Int: [Edge?: Int]] = [:]
        for (index, expansion) in level.expansions.enumerated() {
            indices[expansion.parent, default: [:]][expansion.edge] = index
        }
        var places: [Int: [BlockID: Int]] = [:]
        for result in results {
            guard let parent = parents[result.state], let index = indices[parent]?[result.edge] else {
                continue
            }
            let blocks = level.parents[parent].blocks
            if places[parent] == nil {
                places[parent] = Dictionary(uniqueKeysWithValues: zip(blocks.ids, blocks.ids.indices))
            }
            guard let place = places[parent]?[result.block],
                result.scores.losses.count == blocks.samples[place].count
            else { continue }
            fold(
                LevelTask(
                    state: result.state, block: result.block, samples: blocks.samples[place],
                    edges: [result.edge],
                    expansions: [index], parent: parent, place: place),
                [result.scores])
        }
    }
}
