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
    /// Notes that results come from a machine that computes other bits, before the first of them is kept.
    func note(_ numerics: Numerics) throws
}

extension LevelJournal {
    /// Keeps the tasks one by one: for journals to which many at once cost no less.
    public func record(_ batch: [(task: LevelTask, scores: [SampleScores])], level: Int) throws {
        for (task, scores) in batch { try record(task, scores, level: level) }
    }

    /// Nothing: for journals of which no later run takes results.
    public func note(_ numerics: Numerics) throws {}
}

extension LevelRace {
    /// Takes up results of an earlier run. Those that do not belong to this level are passed over.
    public mutating func replay(_ results: [RecordedResult]) {
        guard !results.isEmpty else { return }
        let register = Register(level)
        for result in results {
            guard let (parent, place) = register.find(result.state, result.block),
                let index = register.expansions[parent][result.edge],
                result.scores.losses.count == level.parents[parent].blocks.samples[place].count
            else { continue }
            fold(
                LevelTask(
                    state: result.state, block: result.block,
                    samples: level.parents[parent].blocks.samples[place],
                    edges: [result.edge], contenders: [], expansions: [index], parent: parent, place: place),
                [result.scores])
        }
    }

    /// The task of this level that is about the same state, block and samples, and about those of the edges that the
    /// level tries too.
    ///
    /// - Returns: the task and, for each of its edges, the place among `edges`; `nil` when the level has none of it.
    public func task(state: Mask, block: BlockID, samples: [Int], edges: [Edge?]) -> (LevelTask, [Int])? {
        let register = Register(level)
        guard let (parent, place) = register.find(state, block),
            level.parents[parent].blocks.samples[place] == samples
        else { return nil }
        var indices: [Int] = []
        var places: [Int] = []
        for (offset, edge) in edges.enumerated() {
            guard let index = register.expansions[parent][edge], !indices.contains(index) else { continue }
            indices.append(index)
            places.append(offset)
        }
        guard !indices.isEmpty else { return nil }
        let task = LevelTask(
            state: state, block: block, samples: samples, edges: places.map { edges[$0] },
            contenders: [], expansions: indices, parent: parent, place: place)
        return (task, places)
    }
}

/// Finds a level's states, blocks and expansions by what they are.
private struct Register {
    private var parents: [Mask: Int] = [:]
    private var places: [[BlockID: Int]]
    /// For every parent, its expansions' indices by edge.
    private(set) var expansions: [[Edge?: Int]]

    init(_ level: Level) {
        expansions = [[Edge?: Int]](repeating: [:], count: level.parents.count)
        for (index, parent) in level.parents.enumerated() { parents[parent.mask] = index }
        for (index, expansion) in level.expansions.enumerated() {
            expansions[expansion.parent][expansion.edge] = index
        }
        places = level.parents.map { parent in
            Dictionary(zip(parent.blocks.ids, parent.blocks.ids.indices)) { first, _ in first }
        }
    }

    func find(_ state: Mask, _ block: BlockID) -> (parent: Int, place: Int)? {
        guard let parent = parents[state], let place = places[parent][block] else { return nil }
        return (parent, place)
    }
}
