internal import ComputationGraph
internal import Datasets
public import Work

/// The race of a level's expansions for the best `keep` places. Pure: tasks out, scores in.
///
/// Losses are non-negative, so what is known of an expansion bounds its total from below. Once `keep` expansions are
/// finished, one whose bound lies strictly above the worst of them can never enter the result and is dropped. Which
/// ones are dropped, and when, depends on the order in which scores arrive; the result does not.
///
/// The smallest bound is always advanced first. For a given order of blocks no exact method then needs fewer block
/// evaluations than one that knows the best totals in advance (see A*, Hart, Nilsson, Raphael 1968). With several
/// workers, what is in flight counts with what it will likely add (`LossExtrapolation`), and an expansion that what is in
/// flight will likely drop is held back.
public struct LevelRace: Sendable {
    /// What is raced for.
    public let level: Level
    /// The most blocks that a state's samples make: as many pieces of work an expansion has.
    let blocksPerState: Int
    let division: SampleDivision
    let usesBounds: Bool
    let means: ContentID?
    let fitData: ContentID?
    var entrants: [ExpansionState]
    /// For every parent, the order in which its blocks are visited, and what is expected of them.
    let visits: [VisitOrder]
    let forecasts: [LossExtrapolation]
    /// The running expansions, by index.
    var running: [Int]
    /// What handing out needs to know of each expansion, kept up to date, so that looking through them is cheap.
    var standings: [SchedulingKey]
    /// Blocks of running expansions that are in flight.
    var inFlight = 0
    /// The value that the best will likely not exceed; `nil` when it has to be found anew.
    var likelyThreshold: Double?
    /// The ranks of finished expansions, the best `keep` of them, ascending.
    private(set) var bestValues: [Rank] = []
    private var bestEntrants: [Int] = []
    private var work = WorkCount()
    /// How many expansions have been dropped so far.
    public private(set) var dropCount = 0
    package var defect: RaceDefect?
    /// What payloads are made of: each state's and each unit's bytes are written once.
    let payloads: LossPayloads
    /// Who has refitted an expansion is asked for by these; none where nothing is recovered.
    let localities: [VariantLocality]
    /// Finds expansions by what they are; made when the first result comes that was not asked for.
    var register: ExpansionRegister?

    /// A race that nothing is known of.
    ///
    /// - Parameter usesBounds: whether hopeless expansions are dropped; `false` evaluates everything.
    /// - Parameter means: the table of means that removed slots may read.
    /// - Parameter fitData: the data that recoveries fit on.
    public init(
        _ level: Level, division: SampleDivision, usesBounds: Bool = true, means: ContentID? = nil,
        fitData: ContentID? = nil
    ) {
        self.level = level
        blocksPerState = level.parents.lazy.map(\.blocks.ids.count).max() ?? 0
        self.means = means
        self.fitData = fitData
        self.division = division
        self.usesBounds = usesBounds
        let shards = division.sharding.shards
        let visits = level.parents.map { VisitOrder($0, shards: shards) }
        let forecasts = level.parents.map { LossExtrapolation($0.subtotals) }
        entrants = level.expansions.map { expansion in
            // Losses are weighted means; what a surrogate says beyond reason says nothing.
            let estimate = expansion.estimate.map { max(0, $0) * division.totalWeight }
            return ExpansionState(
                expansion, estimate: estimate.flatMap { $0.isFinite ? $0 : nil },
                visits: visits[expansion.parent], forecast: forecasts[expansion.parent])
        }
        payloads = LossPayloads(level, means: means, fitData: fitData)
        localities = fitData == nil ? [] : level.expansions.map { VariantLocality($0.variant) }
        self.visits = visits
        self.forecasts = forecasts
        running = Array(level.expansions.indices)
        standings = []
        work.candidates = level.expansions.count
        work.bruteForceBlockEvaluations = entrants.reduce(0) { $0 + $1.blockCount }
        standings = entrants.map {
            SchedulingKey(
                priority: 0, sum: 0, next: -1, value: 0, parent: $0.expansion.parent, isHeld: false)
        }
        for index in entrants.indices { refresh(index) }
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
        bestValues.count < level.keep ? .infinity : bestValues[level.keep - 1].value
    }

    /// The smallest value that an expansion at this price can have whose sum is at least `sum`.
    func bound(_ sum: Double, at price: Price?) -> Double {
        let objective = level.objective.bound(
            lossAtLeast: sum / division.totalWeight, base: level.baseLoss)
        return price?.value(of: objective) ?? objective
    }

    /// Whether an expansion with at least this sum is none that may be kept, whatever the others are.
    func isUnacceptable(_ sum: Double) -> Bool {
        sum / division.totalWeight - level.baseLoss > level.maximumIncrease
            || !level.acceptsNonFinite && !sum.isFinite
    }

    private func losesAccuracy(_ misses: Int) -> Bool {
        level.accuracyFloor.map { misses > $0.missesAllowed } ?? false
    }

    /// Whether an expansion with at least this sum, and so many labels missed, can be no result. Only a bound strictly
    /// above the threshold says so: ties are finished, and broken by the rule.
    private func isHopeless(_ sum: Double, _ misses: Int, at price: Price?) -> Bool {
        bound(sum, at: price) > threshold || isUnacceptable(sum) || losesAccuracy(misses)
    }

    // MARK: Folding

    /// Takes the scores of a task, in the order of its expansions. Scores that are known already change nothing.
    mutating func fold(_ task: RaceTask, _ scores: [SampleScores]) {
        precondition(scores.count == task.expansions.count, "one score list per expansion")
        let samples = level.parents[task.parent].blocks.samples[task.place]
        work.tasks += 1
        let forecast = forecasts[task.parent]
        let threshold = threshold
        for (index, score) in zip(task.expansions, scores) {
            let subtotal = division.subtotal(of: score.losses, samples: samples)
            let before = inFlightCount(index)
            let isNew = entrants[index].fold(
                score, subtotal: subtotal,
                misses: level.accuracyFloor?.misses(score.correct, samples: samples) ?? 0,
                block: task.place, forecast, defect: defect)
            inFlight += inFlightCount(index) - before
            guard isNew else { continue }
            work.blockEvaluations += 1
            if entrants[index].status == .finished { finish(index) }
        }
        likelyThreshold = nil
        removeHopeless(among: threshold == self.threshold ? task.expansions : nil)
        for index in task.expansions { refresh(index) }
    }

    private mutating func finish(_ index: Int) {
        running.removeAll { $0 == index }
        let expansion = entrants[index].expansion
        let sum = entrants[index].partialSum
        guard !isUnacceptable(sum), !losesAccuracy(entrants[index].misses) else {
            entrants[index].forgetScores()
            return
        }
        let value = level.objective.value(loss: sum / division.totalWeight, base: level.baseLoss)
        let rank = Rank(
            objective: value, price: expansion.price, cost: expansion.cost, mask: expansion.variant.mask)
        let place = bestValues.firstIndex { rank < $0 } ?? bestValues.count
        bestValues.insert(rank, at: place)
        bestEntrants.insert(index, at: place)
        if bestEntrants.count > level.keep {
            bestValues.removeLast()
            entrants[bestEntrants.removeLast()].forgetScores()
        }
    }

    /// Drops what is hopeless: among the expansions that have changed, or, with a new threshold, among all.
    private mutating func removeHopeless(among changed: [Int]?) {
        guard usesBounds else { return }
        var hopeless: Set<Int> = []
        for index in changed ?? running
        where entrants[index].status == .running
            && isHopeless(
                entrants[index].partialSum, entrants[index].misses, at: entrants[index].expansion.price)
        {
            hopeless.insert(index)
            inFlight -= inFlightCount(index)
            entrants[index].drop()
        }
        guard !hopeless.isEmpty else { return }
        dropCount += hopeless.count
        running.removeAll { hopeless.contains($0) }
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
                variant: expansion.variant, unit: expansion.unit, loss: loss,
                objective: level.objective.value(loss: loss, base: level.baseLoss),
                correct: collected.correct,
                sampleLosses: collected.losses, cost: expansion.cost, price: expansion.price)
        }
        var total = work
        total.oracleBlockEvaluations = entrants.reduce(0) { sum, entrant in
            sum
                + entrant.blocksNeeded(in: visits[entrant.expansion.parent]) {
                    isHopeless($0, $1, at: entrant.expansion.price)
                }
        }
        let dropped = entrants.filter { $0.status == .dropped }
            .map { (mask: $0.expansion.variant.mask, bound: bound($0.partialSum, at: nil)) }
        let likelyLosses = entrants.map {
            $0.expectedTotal(forecasts[$0.expansion.parent]) / division.totalWeight
        }
        return LevelOutcome(
            best: best, work: total, dropped: dropped,
            likely: zip(level.expansions, likelyLosses).map {
                LikelyLoss(state: level.parents[$0.parent].variant, unit: $0.unit, loss: $1)
            })
    }
}
