internal import Datasets

/// What is computed next. Nothing here has a say in the result.
extension LevelRace {
    /// What handing out looks at of an expansion.
    struct SchedulingKey: Sendable {
        /// The bound, with what is in flight counted as what it will likely add.
        var priority: Double
        /// The sum that the bound is of: it orders those whose bound is the same, mostly 0.
        var sum: Double
        /// The next block in the order of visits, whatever its shard; -1 for none.
        var next: Int
        /// What the expansion will likely be ranked by in the end.
        var value: Double
        /// The parent's index.
        let parent: Int
        /// Whether its first result is to be waited for, since nothing else tells what to expect.
        var isHeld: Bool

        /// Whether it is advanced before `other`; what is left equal goes by index.
        func precedes(_ other: SchedulingKey) -> Bool {
            priority != other.priority ? priority < other.priority : sum < other.sum
        }
    }

    /// The most expansions in one task.
    private static let largestTask = 64
    /// The bytes of the largest result on blocks of at most so many samples.
    public static func largestResult(samples: Int) -> Int {
        LossItem.resultBytes(expansions: largestTask, samples: samples, hasCorrect: true)
    }

    /// How hard a block must be, beside the hardest that is open, to be taken before it by whoever has been there.
    ///
    /// Measured on random problems in which a state's pass costs as much as two expansions' (`ParallelWorkTests`): with 0.4
    /// two to eight workers make a third fewer of them than without regard to who has been where, for 2 % more
    /// evaluations; below 0.3 more is lost than gained.
    private static let leastHardness = 0.4

    /// The next task, or `nil` when everything that is likely needed is in flight.
    ///
    /// While something is in flight, work that its results will likely make needless is held back; otherwise there is
    /// always a task.
    ///
    /// - Parameters:
    ///   - sharing: the number of workers that the work has to go round for.
    ///   - admits: whether a shard's blocks may be handed out to whoever asks.
    ///   - suits: whether a block is better given to whoever asks than to others, who have been there. It is preferred to
    ///     a block that is not much harder.
    mutating func nextTask(
        sharing workers: Int = 1, admits: (Int) -> Bool = { _ in true },
        suits: (BlockID) -> Bool = { _ in true }
    ) -> RaceTask? {
        let shards = (0..<division.sharding.shards).filter(admits)
        let takesAll = shards.count == division.sharding.shards
        let isOpen = isOpen
        let limit = isOpen && inFlight > 0 ? likelyLimit() : .infinity
        let lead = lead(within: limit, holding: takesAll && isOpen, in: takesAll ? nil : shards)
        guard let lead else { return nil }
        let parent = standings[lead.index].parent
        let (block, choices) = suitable(lead, among: workers, admits: admits, suits: suits)
        // Others join that would come to the block as soon as the first one does.
        let rank = visits[parent].rank
        let reach = rank[block] - rank[lead.block]
        let joining = isOpen ? max(likelyLimit(), standings[lead.index].priority) : .infinity
        var chosen: [Int] = []
        var count = 0
        for index in running {
            // By reference: a copy of every standing would take longer than all else.
            guard standings[index].parent == parent, standings[index].priority <= joining,
                !takesAll || standings[index].next >= 0 && rank[block] - rank[standings[index].next] <= reach,
                entrants[index].blocks[block] == .open,
                !(takesAll && isOpen && standings[index].isHeld)
            else { continue }
            count += 1
            insert(index, into: &chosen)
        }
        // Where others find blocks of their own, the whole of this one goes to the same worker.
        let share =
            choices >= workers && (!isOpen || entrants[lead.index].isHeardOf)
            ? count : max(1, (count + workers - 1) / workers)
        return handOut(chosen.prefix(share).sorted(), block, parent: parent)
    }

    /// The first of an expansion's open blocks that suits and is nearly as hard as the first of all, or else that.
    ///
    /// - Returns: the block, and how many there are to choose from; what goes beyond the number of workers is not counted.
    private func suitable(
        _ lead: (index: Int, block: Int), among workers: Int, admits: (Int) -> Bool, suits: (BlockID) -> Bool
    ) -> (block: Int, choices: Int) {
        let parent = standings[lead.index].parent
        let (order, ids) = (visits[parent].order, level.parents[parent].blocks.ids)
        let spread = forecasts[parent].spread
        let least = spread[lead.block] * LevelRace.leastHardness
        var (found, choices) = (Int?.none, 0)
        for block in order[visits[parent].rank[lead.block]...] {
            guard spread[block] >= least, choices < (found == nil ? 4 * workers : workers) else { break }
            guard entrants[lead.index].blocks[block] == .open, admits(ids[block].shard) else { continue }
            if found == nil, suits(ids[block]) { found = block }
            choices += 1
        }
        return (found ?? lead.block, choices)
    }

    /// The first expansion to be advanced, and its block.
    ///
    /// - Parameter shards: where blocks are looked for; `nil` for all.
    private mutating func lead(within limit: Double, holding: Bool, in shards: [Int]?)
        -> (index: Int, block: Int)?
    {
        var lead: (index: Int, block: Int)?
        var (priority, sum) = (Double.infinity, Double.infinity)
        for index in running {
            let own = standings[index].priority
            guard own <= limit, lead == nil || own <= priority else { continue }
            if lead != nil, own == priority, standings[index].sum >= sum { continue }
            if holding, standings[index].isHeld { continue }
            let block = shards.map { firstBlock(of: index, in: $0) ?? -1 } ?? standings[index].next
            guard block >= 0 else { continue }
            lead = (index, block)
            (priority, sum) = (own, standings[index].sum)
        }
        return lead
    }

    /// Keeps the first expansions that were seen, in the order in which they are advanced.
    private func insert(_ index: Int, into chosen: inout [Int]) {
        let standing = standings[index]
        if chosen.count == LevelRace.largestTask, let last = chosen.last,
            !standing.precedes(standings[last])
        {
            return
        }
        let place = chosen.lastIndex { !standing.precedes(standings[$0]) }.map { $0 + 1 } ?? 0
        chosen.insert(index, at: place)
        if chosen.count > LevelRace.largestTask { chosen.removeLast() }
    }

    mutating func handOut(_ expansions: [Int], _ block: Int, parent index: Int) -> RaceTask {
        let hints = level.isLast ? [] : reuseHints(among: expansions)
        for expansion in expansions {
            entrants[expansion].handOut(block, forecasts[index])
            inFlight += 1
            refresh(expansion)
        }
        return RaceTask(expansions: expansions, parent: index, place: block, reuseHints: hints)
    }

    /// The places of those that will likely be among the best, as far as anything is known of them.
    private mutating func reuseHints(among expansions: [Int]) -> [Int] {
        let limit = likelyLimit()
        return expansions.indices.filter {
            standings[expansions[$0]].value <= limit && entrants[expansions[$0]].isHeardOf
        }
    }

    /// Makes the work of a task available again, e.g. when its worker died.
    mutating func giveBack(_ task: RaceTask) {
        for index in task.expansions {
            let before = inFlightCount(index)
            entrants[index].takeBack(
                task.place, shard: level.parents[task.parent].blocks.ids[task.place].shard,
                forecasts[task.parent])
            inFlight += inFlightCount(index) - before
            refresh(index)
        }
    }

    /// Whether any result of a task can still matter.
    func needs(_ task: RaceTask) -> Bool {
        task.expansions.contains {
            entrants[$0].status == .running && entrants[$0].blocks[task.place] != .known
        }
    }

    // MARK: Expectations

    /// Whether anything can still be dropped, so that it matters what is computed first.
    private var isOpen: Bool {
        usesBounds
            && (bestValues.count + running.count > level.keep || level.maximumIncrease < .infinity
                || level.accuracyFloor != nil)
    }

    /// What counts as in flight of an expansion: nothing once it is not running.
    func inFlightCount(_ index: Int) -> Int {
        entrants[index].status == .running ? entrants[index].inFlightCount : 0
    }

    /// Takes note of what has changed of an expansion.
    mutating func refresh(_ index: Int) {
        let parent = entrants[index].expansion.parent
        let sum = entrants[index].expectedSum(forecasts[parent])
        let next =
            entrants[index].status == .running
            ? firstBlock(of: index, in: 0..<division.sharding.shards) ?? -1 : -1
        let total = entrants[index].expectedTotal(forecasts[parent])
        let price = entrants[index].expansion.price
        let objective = level.objective.value(loss: total / division.totalWeight, base: level.baseLoss)
        standings[index] = SchedulingKey(
            priority: bound(sum, at: price), sum: sum, next: next,
            value: price?.value(of: objective) ?? objective, parent: parent,
            isHeld: entrants[index].isUnheardOf)
    }

    /// The first block in the order of visits, among those of `shards`, that can be handed out.
    private mutating func firstBlock(of index: Int, in shards: some Sequence<Int>) -> Int? {
        let visits = visits[entrants[index].expansion.parent]
        var first: Int?
        for shard in shards {
            guard let block = entrants[index].nextBlock(of: shard, in: visits) else { continue }
            if first.map({ visits.rank[block] < visits.rank[$0] }) ?? true { first = block }
        }
        return first
    }

    /// The bound that the best will likely not exceed: that of the `keep`-th best total, as far as totals are known
    /// and can be forecast.
    mutating func likelyLimit() -> Double {
        if let likelyThreshold { return likelyThreshold }
        var found = Double.infinity
        if bestValues.count + running.count > level.keep {
            var values = bestValues.map(\.value)
            var worst = values.count == level.keep ? values.last ?? .infinity : .infinity
            for index in running {
                let value = standings[index].value
                if value >= worst { continue }
                values.insert(value, at: values.lastIndex { $0 <= value }.map { $0 + 1 } ?? 0)
                if values.count > level.keep { values.removeLast() }
                if values.count == level.keep { worst = values.last ?? .infinity }
            }
            found = values.last ?? .infinity
        }
        // What a price makes of the largest increase differs from expansion to expansion.
        if !level.expansions.contains(where: { $0.price != nil }) {
            found = min(found, max(0, level.maximumIncrease))
        }
        likelyThreshold = found
        return found
    }
}
