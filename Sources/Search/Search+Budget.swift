internal import ComputationGraph

/// How a search whose changes are divided by what they save comes to its budget.
///
/// The best step on the way is seldom the best last one: of the removals that reach the budget the one is wanted that
/// changes least, whatever it saves beyond. So every level has two races: of the expansions that reach the budget, for the
/// least change, and of the others, for the least change for what they save. The search goes on from the winner of the
/// second while it changes less than the best of all that reached the budget so far, which is the result.
extension Search {
    /// The best state so far that reaches the budget, and the level that it is of.
    struct Goal {
        let state: State
        let level: Int

        /// The same with what was measured of it besides, where it is one of a level's best.
        func among(_ best: [State], of number: Int) -> Goal {
            guard number == level, let state = best.first(where: { $0.mask == state.mask }) else {
                return self
            }
            return Goal(state: state, level: level)
        }
    }

    /// Both races of a level: the winners of the second, then that of the first if it is the best so far.
    func approach(_ budget: Budget, _ level: Level, on blocks: BlockList, base: State, goal: inout Goal?)
        async throws -> LevelOutcome
    {
        let reaching = level.expansions.filter { budget.isMet(by: $0.cost, base: base.cost) }
        let others = level.expansions.filter { !budget.isMet(by: $0.cost, base: base.cost) }
        var work = WorkCount()
        var dropped: [(mask: Mask, bound: Double)] = []
        var likely: [LikelyLoss] = []
        func race(_ expansions: [Expansion], keep: Int, limit: Double) async throws -> [State] {
            guard !expansions.isEmpty else { return [] }
            let outcome = try await evaluate(
                level.racing(expansions, keep: keep, maximumIncrease: min(level.maximumIncrease, limit)),
                usesBounds: settings.usesBounds)
            work = work + outcome.work
            dropped += outcome.dropped
            likely += outcome.likely
            return keep < .max ? try outcome.best.filter { try isAlive($0.mask) } : outcome.best
        }
        // What changes more than a state that reaches the budget already is of no use, neither as one nor on the way.
        func limit() -> Double { goal.map { max(0, $0.state.objective) } ?? .infinity }
        let found = try await race(reaching.map { $0.withoutPrice() }, keep: 1, limit: limit())
        var winners: [State] = []
        if let state = found.first, goal.map({ state.objective < $0.state.objective }) ?? true {
            goal = Goal(state: state, level: level.number)
            winners = [state]
        }
        var best = try await race(others, keep: level.keep, limit: limit())
        if settings.removalsPerStep > 1 {
            let combined = try await together(best, of: level, on: blocks) {
                !budget.isMet(by: $0, base: base.cost)
            }
            (best, work) = (combined.states, work + combined.work)
        }
        return LevelOutcome(best: best + winners, work: work, dropped: dropped, likely: likely)
    }
}

extension SearchSettings {
    /// The budget, where it is what changes are divided by the saving of. What screening leaves out is told of one race a
    /// level, so there the search stops at the first of the best that reaches it.
    var pricedBudget: Budget? {
        guard let until, per == until.quantity, screening == nil else { return nil }
        switch strategy {
        case .greedy, .beam, .exhaustive: return until
        case .random, .ranked: return nil
        }
    }
}

extension Level {
    /// The level with some of its expansions.
    func racing(_ expansions: [Expansion], keep: Int, maximumIncrease: Double) -> Level {
        Level(
            number: number, parents: parents, expansions: expansions, keep: keep, baseLoss: baseLoss,
            objective: objective, maximumIncrease: maximumIncrease, accuracyFloor: accuracyFloor,
            acceptsNonFinite: acceptsNonFinite, isLast: isLast)
    }
}

extension Expansion {
    /// The expansion, ranked by its change alone.
    fileprivate func withoutPrice() -> Expansion {
        Expansion(parent: parent, unit: unit, variant: variant, cost: cost, estimate: estimate)
    }
}
