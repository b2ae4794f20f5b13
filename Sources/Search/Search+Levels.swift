public import ComputationGraph
public import Work

/// What a level is made of.
extension Search {
    /// A state with the expansions that are its own.
    struct ExpandedState {
        let state: State
        var expansions: [Removal]
    }

    /// One more removal, and what it comes to.
    struct Removal {
        let unit: Unit
        let variant: Variant
        let cost: Cost
        let price: Price?
    }

    /// All expansions of the frontier; a set that several parents reach belongs to the best of them. What would leave an
    /// output constant, what no file can be written for, and what saves nothing of what is counted is none.
    ///
    /// - Parameter scores: what a criterion says of states whose order inside layers is renewed.
    func nextStates(
        from frontier: [State], base: State, scores: [Variant: SliceScores] = [:], random: inout SplitMix64
    ) -> [ExpandedState] {
        var seen: Set<Mask> = []
        var states: [ExpandedState] = []
        for state in frontier {
            var own: [Removal] = []
            for unit in problem.candidates.expansions(
                of: state.mask, in: problem.graph, scores: scores[state.variant])
            {
                let variant = state.expanded.removing(unit)
                let mask = variant.mask
                guard !seen.contains(mask), let assessment = problem.costs.assessment(of: mask),
                    assessment.constantOutputs.isEmpty
                else { continue }
                let (price, isWorthless) = settings.price(
                    of: assessment.cost, expanding: state, base: base)
                if isWorthless { continue }
                seen.insert(mask)
                own.append(Removal(unit: unit, variant: variant, cost: assessment.cost, price: price))
            }
            switch settings.strategy {
            case .random: own = own.randomElement(using: &random).map { [$0] } ?? []
            case .ranked(_, let order):
                let first = order.first { unit in own.contains { $0.unit == unit } }
                own = own.filter { $0.unit == first }
            case .greedy, .beam, .exhaustive: break
            }
            if !own.isEmpty { states.append(ExpandedState(state: state, expansions: own)) }
        }
        return states
    }

    /// What the criterion says of states, where the order inside layers is worked out anew from each; the full model's order
    /// is known.
    func renewedScores(of frontier: [State], forLevel level: Int) async throws -> [Variant: SliceScores] {
        guard let criterion = problem.candidates.renewedCriterion else { return [:] }
        var scores: [Variant: SliceScores] = [:]
        for state in frontier where !state.mask.isEmpty {
            scores[state.variant] = try await problem.scores(
                by: criterion, of: state.recovered, forLevel: level, on: runner)
        }
        return scores
    }

    /// The level of these states' expansions, and those that screening leaves out.
    ///
    /// - Parameters:
    ///   - floor: the accuracy that has to be kept.
    ///   - guide: gives the estimates that order the work.
    ///   - screen: chooses what is measured when the settings ask for it; it must follow from results alone that are the
    ///     same in every run.
    /// - Returns: `nil` when there is nothing to expand.
    func nextLevel(
        _ number: Int, of states: [ExpandedState], on blocks: BlockList, base: State, floor: AccuracyFloor?,
        guide: SurrogateModel,
        screen: SurrogateModel?
    ) -> (level: Level, skipped: [Expansion])? {
        var expansions: [Expansion] = []
        var skipped: [Expansion] = []
        for (parent, expanded) in states.enumerated() {
            let state = expanded.state
            let change = state.loss - base.loss
            let own = expanded.expansions.map { removal in
                Expansion(
                    parent: parent, unit: removal.unit, variant: removal.variant, cost: removal.cost,
                    price: removal.price,
                    estimate: guide.predict(removing: removal.unit, from: state.mask, change: change).map {
                        base.loss + $0
                    })
            }
            let (measured, others) = screened(own, of: state, base: base, by: screen)
            expansions += measured
            skipped += others
        }
        guard !expansions.isEmpty else { return nil }
        let level = Level(
            number: number, parents: states.map { FrontierState($0.state, on: blocks, problem.division) },
            expansions: expansions, keep: max(settings.strategy.width, settings.removalsPerStep),
            baseLoss: base.loss,
            objective: settings.objective, maximumIncrease: settings.maximumLossIncrease ?? .infinity,
            accuracyFloor: floor, acceptsNonFinite: false, isLast: number == settings.steps)
        return (level, skipped)
    }

    // MARK: Screening

    /// The most promising expansions of a state, in their order, and the others. Those of which nothing is known are
    /// always among the first.
    private func screened(_ own: [Expansion], of state: State, base: State, by screen: SurrogateModel?)
        -> (measured: [Expansion], others: [Expansion])
    {
        guard let limit = settings.screening?.perState, settings.screening?.criterion == .surrogate,
            let screen, own.count > limit
        else {
            return (own, [])
        }
        var unknown: [Int] = []
        var ranked: [(rank: Rank, index: Int)] = []
        for (index, expansion) in own.enumerated() {
            let change = expansion.unit.flatMap {
                screen.predict(removing: $0, from: state.mask, change: state.loss - base.loss)
            }
            guard let change else {
                unknown.append(index)
                continue
            }
            let value = settings.objective.value(loss: base.loss + change, base: base.loss)
            let rank = Rank(
                objective: value, price: expansion.price, cost: expansion.cost,
                mask: expansion.variant.mask)
            ranked.append((rank, index))
        }
        let best = ranked.sorted { $0.rank < $1.rank }.prefix(limit).map(\.index)
        let chosen = Set(unknown + best)
        return (
            own.indices.filter(chosen.contains).map { own[$0] },
            own.indices.filter { !chosen.contains($0) }.map { own[$0] }
        )
    }

    /// Measures a random sample of what was left out of a level, in full.
    func audit(_ level: Level, _ outcome: LevelOutcome, _ skipped: [Expansion], _ screening: Screening)
        async throws -> (ScreenedLevel, LevelOutcome)
    {
        var random = SplitMix64(seed: screening.seed ^ UInt64(level.number) &* 0x9E37_79B9_7F4A_7C15)
        let places = skipped.indices.shuffled(using: &random).prefix(screening.audits).sorted()
        let sample = places.map { skipped[$0] }
        var audit = LevelOutcome(best: [], work: WorkCount(), dropped: [], likely: [])
        if !sample.isEmpty {
            let all = Level(
                number: level.number, parents: level.parents, expansions: sample, keep: .max,
                baseLoss: level.baseLoss, objective: level.objective,
                maximumIncrease: level.maximumIncrease, accuracyFloor: level.accuracyFloor)
            audit = try await evaluate(all, usesBounds: false)
        }
        let report = ScreenedLevel(
            number: level.number, measured: level.expansions.count, skipped: skipped.count,
            audited: sample.count, audit: audit.best, kept: outcome.best, keep: level.keep)
        // Brute force would have measured all that were left out.
        var work = audit.work
        work.bruteForceBlockEvaluations = skipped.reduce(0) { $0 + level.parents[$1.parent].blocks.ids.count }
        return (report, LevelOutcome(best: audit.best, work: work, dropped: [], likely: []))
    }
}

extension SearchProblem {
    /// What a criterion says of a state's channels, heads and neurons; `nil` where none may go.
    ///
    /// - Parameter level: the number of the level whose expansions follow from it; `nil` before a search.
    public func scores(
        by criterion: SliceCriterion, of state: Variant, forLevel level: Int? = nil, on runner: any WorkRunner
    ) async throws -> SliceScores? {
        guard let groups = candidates.sliceGroups else { return nil }
        let source = StatisticsSource(
            criterion, of: state, level: level, blocks: BlockList(naturalOrder: division),
            atoms: groups.atomCount, means: means, fitData: fitData)
        guard let sums = try await runner.run(source).criterionSums else { return nil }
        guard let scores = SliceScores(sums, of: groups) else {
            throw SearchError.otherGroups(wanted: groups.atomCount, found: sums.count)
        }
        return scores
    }

    /// Puts channels, heads and neurons in the order that the data give, where one is asked for that needs data.
    public mutating func orderSlices(on runner: any WorkRunner) async throws {
        guard let criterion = candidates.criterion,
            let scores = try await scores(by: criterion, of: Variant(.empty), on: runner)
        else { return }
        candidates = candidates.ordered(by: scores)
    }
}

extension SurrogateModel {
    /// Takes in what a level has shown.
    mutating func learn(from outcome: LevelOutcome, states: [State], base: State) {
        let losses = Dictionary(states.map { ($0.expanded, $0.loss) }) { first, _ in first }
        for state in outcome.best { observe(state.mask, change: state.loss - base.loss) }
        for likely in outcome.likely {
            guard let unit = likely.unit, let loss = losses[likely.state] else { continue }
            expect(removing: unit, from: likely.state.mask, toChange: likely.loss - loss)
        }
    }
}

extension SurrogateModel {
    /// Takes in states that were measured in full: what is learnt is the same in every run.
    mutating func learn(fromMeasured found: [State], of parents: [State], base: State) {
        let losses = Dictionary(parents.map { ($0.mask, $0.loss) }) { first, _ in first }
        for state in found {
            observe(state.mask, change: state.loss - base.loss)
            guard let unit = state.unit else { continue }
            let parent = state.mask.keeping(unit)
            if let loss = losses[parent] { expect(removing: unit, from: parent, toChange: state.loss - loss) }
        }
    }
}

extension LevelOutcome {
    /// The same with these states alone.
    func keeping(_ states: [State]) -> LevelOutcome {
        LevelOutcome(best: states, work: work, dropped: dropped, likely: likely)
    }

    /// The same with what another measurement took besides.
    func addingWork(of other: LevelOutcome) -> LevelOutcome { addingWork(other.work) }

    /// The same with more work.
    func addingWork(_ more: WorkCount) -> LevelOutcome {
        LevelOutcome(best: best, work: work + more, dropped: dropped, likely: likely)
    }
}
