internal import ComputationGraph
internal import Datasets
public import Work

/// A level's race as a source of work: an item is some expansions of a state on a block.
extension LevelRace: WorkSource {
    /// `losses`.
    public var kind: WorkKind { LossItem.kind }
    /// That of the level.
    public var stage: Int { level.stage }
    /// With bounds, later items depend on earlier results: as many as a state has blocks can be chosen beforehand.
    public var independentItems: Int? { usesBounds ? blocksPerState : nil }

    /// An expansion and its state.
    public var smallestCost: WorkCost {
        isRecovered
            ? WorkCost(scale: "losses after recovery", amount: 1) : WorkCost(scale: "losses", amount: 2)
    }

    /// The next item, or `nil` when everything that is likely needed is out.
    public mutating func next(for worker: WorkerView) -> WorkItem? {
        if isRecovered {
            return nextRecovered(admits: worker.holds, suits: worker.prefers).map { item(of: $0) }
        }
        return nextTask(
            sharing: worker.sharing, admits: worker.holds,
            suits: { worker.prefers($0.locality) }
        ).map { item(of: $0) }
    }

    /// Checks the shape of an item's scores.
    public func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        let task = task(of: item)
        try LossItem.check(
            result, expansions: task.expansions.count,
            samples: level.parents[task.parent].blocks.samples[task.place].count)
    }

    /// Takes an item's scores.
    public mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        let task = task(of: item)
        let samples = level.parents[task.parent].blocks.samples[task.place].count
        guard
            let scores = try? LossItem.scores(in: result, expansions: task.expansions.count, samples: samples)
        else { return false }
        let before = dropCount
        fold(task, scores)
        return dropCount != before
    }

    /// What of another run's scores is about this level: the same state, block and samples, and those of the units that are
    /// tried here.
    public mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind else { return record.key.stage > stage ? .later : .none }
        guard record.key.stage <= stage else { return .later }
        let (given, all): (LossItem, [SampleScores])
        do throws(WorkMismatch) { (given, all) = try record.losses() } catch { return .wrong(error) }
        let register = register ?? ExpansionRegister(level)
        self.register = register
        guard let (parent, place) = register.find(given.state, given.block),
            level.parents[parent].blocks.samples[place] == given.samples, given.means == means,
            given.fitData == fitData
        else { return .none }
        var expansions: [Int] = []
        var scores: [SampleScores] = []
        for (unit, score) in zip(given.units, all) {
            guard let index = register.expansions[parent][unit], !expansions.contains(index) else { continue }
            expansions.append(index)
            scores.append(score)
        }
        guard !expansions.isEmpty else { return .none }
        return .part(
            item(of: RaceTask(expansions: expansions, parent: parent, place: place)),
            result: LossItem.result(scores))
    }

    /// Whether any of an item's expansions is still in the race.
    public func needs(_ item: WorkItem) -> Bool { needs(task(of: item)) }

    /// Makes an item's work available again.
    public mutating func giveBack(_ item: WorkItem) { giveBack(task(of: item)) }

    /// State, block and removed units.
    public func describe(_ item: WorkItem, pieces: [Int]) -> String {
        let task = task(of: item)
        let parent = level.parents[task.parent]
        let block = parent.blocks.ids[task.place]
        let removed = pieces.map {
            level.expansions[$0 / blocksPerState].unit?.description ?? "nothing more"
        }
        return "block \(block.index) of shard \(block.shard), state \(parent.variant), removing "
            + removed.joined(separator: ", ") + ","
    }

    // MARK: Items

    private func item(of task: RaceTask) -> WorkItem {
        let block = level.parents[task.parent].blocks.ids[task.place]
        let lead = task.expansions[0]
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: payloads.payload(task, in: level)),
            hints: LossItem.hints(task.reuseHints), shard: block.shard,
            contents: [means, fitData, level.parents[task.parent].variant.weights.map { ContentID($0) }]
                .compactMap(\.self),
            locality: isRecovered ? locality(of: lead, shard: block.shard) : block.locality,
            // One pass for the state, and at most one for each expansion.
            cost: isRecovered
                ? recoveredCost(of: lead)
                : WorkCost(scale: "losses", amount: Double(task.expansions.count + 1)),
            pieces: task.expansions.map { $0 * blocksPerState + task.place })
    }

    private func task(of item: WorkItem) -> RaceTask {
        let expansions = item.pieces.map { $0 / blocksPerState }
        return RaceTask(
            expansions: expansions, parent: level.expansions[expansions[0]].parent,
            place: item.pieces[0] % blocksPerState)
    }
}

/// Finds a level's states, blocks and expansions by what they are.
struct ExpansionRegister: Sendable {
    private var parents: [Variant: Int] = [:]
    private var places: [[BlockID: Int]]
    /// For every parent, its expansions' indices by unit.
    private(set) var expansions: [[Unit?: Int]]

    init(_ level: Level) {
        expansions = [[Unit?: Int]](repeating: [:], count: level.parents.count)
        for (index, parent) in level.parents.enumerated() { parents[parent.variant] = index }
        for (index, expansion) in level.expansions.enumerated() {
            expansions[expansion.parent][expansion.unit] = index
        }
        places = level.parents.map(\.blocks.ids.places)
    }

    func find(_ state: Variant, _ block: BlockID) -> (parent: Int, place: Int)? {
        guard let parent = parents[state], let place = places[parent][block] else { return nil }
        return (parent, place)
    }
}
