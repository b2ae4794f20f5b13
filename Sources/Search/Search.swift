public import ComputationGraph
public import Datasets
public import Work

/// What is searched: the graph, what may be removed, and what each mask costs.
public struct SearchProblem: Sendable {
    /// The model's graph.
    public let graph: Graph
    /// What may be removed.
    public internal(set) var candidates: Candidates
    /// What each mask costs.
    public var costs: CostModel
    /// The samples, in shards and blocks.
    public let division: SampleDivision
    /// The table of means that removed slots may read; `nil` for none.
    public var means: ContentID?
    /// The data that recoveries fit on; `nil` where nothing is recovered.
    public var fitData: ContentID?
    /// The labels that count towards the accuracy; `nil` where there are none.
    public let countedLabels: LabelCounts?

    /// A problem over the samples of `division`.
    public init(
        graph: Graph, candidates: Candidates, costs: CostModel, division: SampleDivision,
        countedLabels: LabelCounts? = nil
    ) {
        self.countedLabels = countedLabels
        self.graph = graph
        self.candidates = candidates
        self.costs = costs
        self.division = division
    }
}

/// Why a search ended.
public enum SearchEnd: String, Sendable, Hashable, Codable {
    /// The budget is reached.
    case budget
    /// As many removals were made as were asked for.
    case steps
    /// Whatever else could go raises the loss too far, or makes it no finite number.
    case loss
    /// Nothing else can go.
    case exhausted
}

/// What a search found.
public struct SearchResult: Sendable {
    /// The full model.
    public let base: State
    /// The states from the first removal to the result.
    public let path: [State]
    /// Every state that was kept, level by level, best first.
    public let levels: [[State]]
    /// The work of each level; the first is the measurement of the full model.
    public let work: [WorkCount]
    /// What was left out, and what is known of it; `nil` when nothing was, so that the result is exact.
    public internal(set) var screening: ScreeningReport?
    /// Why it ended.
    public var end = SearchEnd.exhausted

    /// The sum of all levels' work.
    public var totalWork: WorkCount { work.reduce(WorkCount(), +) }

    /// The kept states that no other beats in both loss and `quantity`, cheapest last.
    public func paretoFront(of quantity: Budget.Quantity) -> [State] {
        func amount(_ state: State) -> Int { state.cost[quantity] }
        let all = ([base] + levels.joined()).filter { $0.loss.isFinite }
            .sorted { (amount($0), $0.loss, $0.mask) < (amount($1), $1.loss, $1.mask) }
        var front: [State] = []
        for state in all where front.last.map({ state.loss < $0.loss }) ?? true {
            if let last = front.last, amount(last) == amount(state) { continue }
            front.append(state)
        }
        return front.reversed()
    }
}

/// Drives a strategy level by level.
public struct Search {
    let problem: SearchProblem
    let settings: SearchSettings
    let runner: any WorkRunner
    private let shared: SharedResults?
    private let surrogate: SurrogateModel?
    let isAlive: (Mask) throws -> Bool
    let madeWeights: (WeightsID, _ bytes: [UInt8], _ stage: Int) -> Void

    /// A search that has each level's work done by `runner`.
    ///
    /// - Parameter shared: results that other searches of the model on the same data have measured.
    /// - Parameter surrogate: orders the work, and with `settings.screening` limits it. Without one, estimates start
    ///   from what the first level shows, and nothing is left out.
    /// - Parameter isAlive: whether the outputs still follow the inputs under a mask that is among a level's best; where they
    ///   do not, the path ends before it. It must be a pure function of the mask.
    /// - Parameter madeWeights: told of the weights of every state whose expansions start from them (`State.weights`), and of
    ///   the stage under which the runner's journal keeps them.
    public init(
        _ problem: SearchProblem, settings: SearchSettings, runner: any WorkRunner,
        shared: SharedResults? = nil, surrogate: SurrogateModel? = nil,
        isAlive: @escaping (Mask) throws -> Bool = { _ in true },
        madeWeights: @escaping (WeightsID, _ bytes: [UInt8], _ stage: Int) -> Void = { _, _, _ in }
    ) {
        self.isAlive = isAlive
        self.madeWeights = madeWeights
        self.problem = problem
        self.settings = settings
        self.runner = runner
        self.shared = shared
        self.surrogate = surrogate
    }

    /// Runs to the end.
    ///
    /// - Parameter finished: called after each level with its number and its outcome; level 0 is the full model. What
    ///   it throws ends the search.
    public func run(finished: (Int, LevelOutcome) async throws -> Void = { _, _ in }) async throws
        -> SearchResult
    {
        let (base, baseOutcome) = try await measureBase()
        try await finished(0, baseOutcome)
        let floor = try accuracyFloor(below: base)
        let blocks = BlockList(hardestFirst: base, problem.division)
        var works = [baseOutcome.work]
        var levels: [[State]] = []
        var frontier = [base]
        var random = SplitMix64(seed: settings.strategy.seed)
        // Two copies: what orders the work learns from all that was seen, what limits it from results alone that are the
        // same in every run.
        var guide = surrogate ?? SurrogateModel(units: problem.candidates.units)
        var screen = surrogate
        var screened: [ScreenedLevel] = []
        var goal: Goal?
        var end = SearchEnd.steps
        while levels.count < settings.steps ?? .max {
            let scores = try await renewedScores(of: frontier, forLevel: levels.count + 1)
            let states = nextStates(from: frontier, base: base, scores: scores, random: &random)
            guard
                var (level, skipped) = nextLevel(
                    levels.count + 1, of: states, on: blocks, base: base, floor: floor, guide: guide,
                    screen: screen)
            else {
                end = .exhausted
                break
            }
            var shortlist = Shortlist(level: level)
            if let budget = settings.pricedBudget {
                let approached = try await approach(budget, level, on: blocks, base: base, goal: &goal)
                let outcome = try await described(approached, on: blocks, of: level)
                await withdrawWeights(of: frontier, keeping: outcome.best)
                goal = goal?.among(outcome.best, of: level.number)
                guide.learn(from: outcome, states: frontier, base: base)
                works.append(outcome.work)
                // A level that shows that nothing better comes is no news.
                if !outcome.best.isEmpty || goal == nil { try await finished(level.number, outcome) }
                frontier = outcome.best.filter { state in
                    !budget.isMet(by: state.cost, base: base.cost)
                        && goal.map { state.objective < $0.state.objective } ?? true
                }
                if !outcome.best.isEmpty {
                    if !levels.isEmpty {
                        levels[levels.count - 1] = levels[levels.count - 1].map { $0.forgettingSamples() }
                    }
                    levels.append(outcome.best)
                }
                guard !frontier.isEmpty else {
                    end = .loss
                    break
                }
                continue
            }
            if let screening = settings.screening, screening.criterion == .lossAtCut {
                shortlist = try await shortlisted(
                    level, by: screening, on: blocks, states: states.map(\.state))
                (level, skipped) = (shortlist.level, shortlist.skipped)
            }
            var (outcome, rungs) = try await finalists(of: &shortlist)
            guide.learn(from: outcome, states: frontier, base: base)
            if let screening = settings.screening {
                var (report, audit) = try await self.audit(level, outcome, skipped, screening)
                report.rungs = rungs
                screened.append(report)
                outcome = outcome.addingWork(of: audit)
                screen?.learn(fromMeasured: outcome.best + audit.best, of: frontier, base: base)
            }
            if settings.strategy.width < .max {
                outcome = outcome.keeping(try outcome.best.filter { try isAlive($0.mask) })
            }
            if settings.removalsPerStep > 1 {
                let until = settings.until
                let combined = try await together(
                    outcome.best, of: level, on: blocks,
                    isEnough: { cost in
                        until?.isMet(by: cost, base: base.cost) ?? false
                    })
                outcome = outcome.keeping(combined.states).addingWork(combined.work)
            }
            outcome = try await described(outcome, on: blocks, of: level).addingWork(shortlist.work)
            await withdrawWeights(of: frontier, keeping: outcome.best)
            works.append(outcome.work)
            try await finished(level.number, outcome)
            guard !outcome.best.isEmpty else {
                end = .loss
                break
            }
            // The per-sample losses are needed until the next level is laid out, and no longer.
            if !levels.isEmpty {
                levels[levels.count - 1] = levels[levels.count - 1].map { $0.forgettingSamples() }
            }
            levels.append(outcome.best)
            frontier = outcome.best
            if reachedBudget(in: outcome.best, base: base) != nil {
                end = .budget
                break
            }
        }
        if goal != nil { end = .budget }
        let path =
            goal.map { Search.path(to: $0.state, through: Array(levels.prefix($0.level))) }
            ?? path(through: levels, base: base)
        return SearchResult(
            base: base, path: path, levels: levels, work: works,
            screening: settings.screening.map { ScreeningReport($0, levels: screened) }, end: end)
    }

    /// The best expansions of a level.
    func evaluate(_ level: Level, usesBounds: Bool) async throws -> LevelOutcome {
        var race = LevelRace(
            level, division: problem.division, usesBounds: usesBounds, means: problem.means,
            fitData: level.isRecovered ? problem.fitData : nil)
        shared?.fill(&race)
        return try await runner.run(race).outcome()
    }

    /// Measures the full model, on the samples in their own order.
    private func measureBase() async throws -> (State, LevelOutcome) {
        let unpruned = Variant(.empty, recovery: settings.recovery ?? .none)
        let level = Level(
            number: 0, parents: [FrontierState(unmeasured: unpruned, problem.division)],
            expansions: [
                Expansion(parent: 0, unit: nil, variant: unpruned, cost: problem.costs.cost(of: .empty))
            ],
            keep: 1, baseLoss: 0, objective: settings.objective)
        let outcome = try await evaluate(level, usesBounds: false)
        guard let measured = outcome.best.first else { throw SearchError.baseNotMeasured }
        // The full model is where changes are counted from.
        let base = State(
            variant: measured.variant, unit: nil, loss: measured.loss, objective: 0,
            correct: measured.correct,
            sampleLosses: measured.sampleLosses, cost: measured.cost)
        guard base.loss.isFinite else { throw SearchError.baseNotFinite(samples: base.nonFiniteLosses) }
        return (base, LevelOutcome(best: [base], work: outcome.work, dropped: [], likely: []))
    }

    /// The accuracy that the settings want kept.
    private func accuracyFloor(below base: State) throws -> AccuracyFloor? {
        guard let drop = settings.maximumAccuracyDrop else { return nil }
        guard let counted = problem.countedLabels, let correct = base.correct else {
            throw SearchError.noAccuracy
        }
        return AccuracyFloor(drop: drop, below: correct, of: counted)
    }

    /// The best state within the budget, if there is one.
    private func reachedBudget(in states: [State], base: State) -> State? {
        guard let budget = settings.until else { return nil }
        return states.first { budget.isMet(by: $0.cost, base: base.cost) }
    }

    /// The states that lead to the result: the best of the last level, or the best within the budget.
    private func path(through levels: [[State]], base: State) -> [State] {
        guard let last = levels.last, let state = reachedBudget(in: last, base: base) ?? last.first else {
            return []
        }
        return Search.path(to: state, through: levels)
    }

    /// The states that lead to `best`, which is of the last of `levels`.
    public static func path(to best: State, through levels: [[State]]) -> [State] {
        var state = best
        var path = [state]
        for level in levels.dropLast().reversed() {
            let parentMask = ([state.unit].compactMap { $0 } + state.alongside).reduce(state.mask) {
                $0.keeping($1)
            }
            guard let parent = level.first(where: { $0.mask == parentMask }) else { break }
            path.append(parent)
            state = parent
        }
        return path.reversed()
    }
}

/// What can go wrong in a search.
public enum SearchError: Error, Sendable, CustomStringConvertible {
    case baseNotMeasured
    /// The accuracy is to be kept, and there are no labels to tell it from.
    case noAccuracy
    /// The unpruned model's own loss is no number: there is nothing to compare with.
    case baseNotFinite(samples: Int)
    /// Whoever computed a criterion found other channels, heads and neurons in the model.
    case otherGroups(wanted: Int, found: Int)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .noAccuracy:
            "--max-accuracy-drop needs labels: the data have none, or the loss does not read them"
        case .otherGroups(let wanted, let found):
            "the model has \(wanted) channels, heads and neurons that may go, but \(found) were measured"
        case .baseNotMeasured: "the full model's loss was not measured"
        case .baseNotFinite(let samples):
            "the unpruned model's loss is not finite on \(samples) samples, so no change can be measured from it"
        }
    }
}

extension Strategy {
    fileprivate var seed: UInt64 { if case .random(let seed) = self { seed } else { 0 } }
}

extension State {
    fileprivate func forgettingSamples() -> State {
        var state = State(
            variant: variant, unit: unit, loss: loss, objective: objective, correct: correct,
            sampleLosses: [],
            cost: cost, price: price,
            nonFiniteLosses: nonFiniteLosses)
        (state.lossAtCut, state.alongside) = (lossAtCut, alongside)
        (state.weights, state.meanLoss) = (weights, meanLoss)
        return state
    }
}

/// A small random number generator with a seed (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// 2014).
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A generator that gives the same numbers for the same seed.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
