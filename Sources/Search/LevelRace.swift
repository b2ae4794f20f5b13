internal import ComputationGraph
public import Datasets

/// The race of a level's expansions for the best `keep` places. Pure: tasks out, scores in.
///
/// Losses are non-negative, so what is known of an expansion bounds its total from below. Once `keep` expansions are
/// finished, one whose bound lies strictly above the worst of them can never enter the result and is dropped. Which
/// ones are dropped, and when, depends on the order in which scores arrive; the result does not.
///
/// The smallest bound is always advanced first. For a given order of blocks no exact method then needs fewer block
/// evaluations than one that knows the best totals in advance (see A*, Hart, Nilsson, Raphael 1968).
public struct LevelRace: Sendable {
    /// What is raced for.
    public let level: Level
    private let division: SampleDivision
    private let usesBounds: Bool
    private var entrants: [Entrant]
    /// For every parent, its blocks' indices, hardest block first.
    private let visitOrder: [[Int]]
    /// The running expansions, by index.
    private var running: [Int]
    /// The objective values of finished expansions, the best `keep` of them, ascending.
    private var bestValues: [Rank] = []
    private var bestEntrants: [Int] = []
    private var work = WorkCount()
    package var defect: RaceDefect?

    /// A race that nothing is known of.
    ///
    /// - Parameter usesBounds: whether hopeless expansions are dropped; `false` evaluates everything.
    public init(_ level: Level, division: SampleDivision, usesBounds: Bool = true) {
        self.level = level
        self.division = division
        self.usesBounds = usesBounds
        entrants = level.expansions.map { Entrant($0, blocks: level.parents[$0.parent].blocks.ids.count) }
        running = Array(level.expansions.indices)
        visitOrder = level.parents.map { parent in
            parent.subtotals.indices.sorted { left, right in
                parent.subtotals[left] != parent.subtotals[right]
                    ? parent.subtotals[left] > parent.subtotals[right] : left < right
            }
        }
        work.candidates = level.expansions.count
        work.bruteForceBlockEvaluations = entrants.reduce(0) { $0 + $1.isKnown.count }
    }

    /// Whether the best expansions are known.
    public var isComplete: Bool { running.isEmpty }
    /// Expansions that are still running, and all of them: for progress.
    public var progress: (running: Int, total: Int) { (running.count, entrants.count) }
    /// The work folded so far.
    public var workSoFar: WorkCount { work }
    /// The best objective value of a finished expansion, if there is one.
    public var bestSoFar: Double? { bestValues.first?.objective }

    // MARK: Bounds

    /// The value that an expansion must not exceed to matter.
    private var threshold: Double {
        bestValues.count < level.keep ? .infinity : bestValues[level.keep - 1].objective
    }

    private func bound(_ sum: Double) -> Double {
        level.objective.bound(lossAtLeast: sum / division.totalWeight, base: level.baseLoss)
    }

    private func exceedsIncrease(_ sum: Double) -> Bool {
        sum / division.totalWeight - level.baseLoss > level.maximumIncrease
    }

    /// Whether an expansion with at least this sum can be no result. Only a bound strictly above the threshold
    /// says so: ties are finished, and broken by the rule.
    private func isHopeless(_ sum: Double) -> Bool { bound(sum) > threshold || exceedsIncrease(sum) }

    // MARK: Handing out

    /// The next task, or `nil` when everything that can be handed out now is in flight.
    ///
    /// - Parameters:
    ///   - sharing: the number of workers that the work has to go round for.
    ///   - admits: whether a shard's blocks may be handed out to whoever asks.
    public mutating func nextTask(sharing workers: Int = 1, admits: (Int) -> Bool = { _ in true })
        -> LevelTask?
    {
        var ready: [(index: Int, block: Int, priority: Double, sum: Double)] = []
        for index in running {
            let parent = level.parents[entrants[index].expansion.parent]
            let order = visitOrder[entrants[index].expansion.parent]
            guard
                let block = entrants[index].nextBlock(
                    in: order, admits: { admits(parent.blocks.ids[$0].shard) })
            else { continue }
            let sum = entrants[index].partialSum + entrants[index].expectedSum
            ready.append((index, block, bound(sum), sum))
        }
        guard
            let lead = ready.min(by: { ($0.priority, $0.sum, $0.index) < ($1.priority, $1.sum, $1.index) })
        else { return nil }

        // Expansions of the same block share its base pass. Those join whose bound the winner's value will likely
        // reach: it seldom falls below the parent's own.
        let parentIndex = entrants[lead.index].expansion.parent
        let parent = level.parents[parentIndex]
        let parentBound = bound(parent.subtotals.reduce(0, +))
        var joining = ready.filter { candidate in
            candidate.block == lead.block && entrants[candidate.index].expansion.parent == parentIndex
                && (!usesBounds || candidate.priority <= max(parentBound, lead.priority))
        }
        joining.sort { ($0.priority, $0.sum, $0.index) < ($1.priority, $1.sum, $1.index) }
        let share = max(1, (joining.count + workers - 1) / workers)
        let chosen = joining.prefix(min(share, LevelRace.largestTask)).map(\.index).sorted()

        for index in chosen { entrants[index].handOut(lead.block, expecting: parent.subtotals[lead.block]) }
        return LevelTask(
            state: parent.mask, block: parent.blocks.ids[lead.block],
            samples: parent.blocks.samples[lead.block],
            edges: chosen.map { entrants[$0].expansion.edge }, expansions: chosen, parent: parentIndex,
            place: lead.block)
    }

    /// The most expansions in one task.
    private static let largestTask = 64

    /// Makes the work of a task available again, e.g. when its worker died.
    public mutating func giveBack(_ task: LevelTask) {
        let expected = level.parents[task.parent].subtotals[task.place]
        for index in task.expansions { entrants[index].takeBack(task.place, expecting: expected) }
    }

    // MARK: Folding

    /// Takes the scores of a task, in the order of its expansions. Scores that are known already change nothing.
    public mutating func fold(_ task: LevelTask, _ scores: [SampleScores]) {
        precondition(scores.count == task.expansions.count, "one score list per expansion")
        work.tasks += 1
        let expected = level.parents[task.parent].subtotals[task.place]
        for (index, score) in zip(task.expansions, scores) {
            let subtotal = division.subtotal(of: score.losses, samples: task.samples)
            guard
                entrants[index].fold(
                    score, subtotal: subtotal, block: task.place, expecting: expected, defect: defect)
            else { continue }
            work.blockEvaluations += 1
            if entrants[index].status == .finished { finish(index) }
        }
        removeHopeless()
    }

    private mutating func finish(_ index: Int) {
        running.removeAll { $0 == index }
        let expansion = entrants[index].expansion
        let sum = entrants[index].partialSum
        guard !exceedsIncrease(sum) else {
            entrants[index].forgetScores()
            return
        }
        let value = level.objective.value(loss: sum / division.totalWeight, base: level.baseLoss)
        let rank = Rank(objective: value, cost: expansion.cost, mask: expansion.mask)
        let place = bestValues.firstIndex { rank < $0 } ?? bestValues.count
        bestValues.insert(rank, at: place)
        bestEntrants.insert(index, at: place)
        if bestEntrants.count > level.keep {
            bestValues.removeLast()
            entrants[bestEntrants.removeLast()].forgetScores()
        }
    }

    private mutating func removeHopeless() {
        guard usesBounds else { return }
        var left: [Int] = []
        for index in running {
            if isHopeless(entrants[index].partialSum) { entrants[index].drop() } else { left.append(index) }
        }
        running = left
    }

    // MARK: Result

    /// The best expansions, and what it took to find them.
    ///
    /// - Precondition: the race is complete.
    public func outcome() -> LevelOutcome {
        precondition(isComplete, "the race is not over")
        let best = bestEntrants.map { index in
            let entrant = entrants[index]
            let expansion = entrant.expansion
            let collected = entrant.collected(
                level.parents[expansion.parent].blocks, samples: division.sharding.samples)
            let loss = entrant.partialSum / division.totalWeight
            return State(
                mask: expansion.mask, edge: expansion.edge, loss: loss,
                objective: level.objective.value(loss: loss, base: level.baseLoss),
                correct: collected.correct,
                sampleLosses: collected.losses, cost: expansion.cost)
        }
        var total = work
        total.clairvoyantBlockEvaluations = entrants.reduce(0) { sum, entrant in
            sum + entrant.blocksNeeded(in: visitOrder[entrant.expansion.parent], until: isHopeless)
        }
        let dropped = entrants.filter { $0.status == .dropped }
            .map { (mask: $0.expansion.mask, bound: bound($0.partialSum)) }
        return LevelOutcome(best: best, work: total, dropped: dropped)
    }
}
