internal import ComputationGraph

/// What a search by the loss after recovery measures besides.
extension Search {
    /// The outcome with what its states lose before their recovery.
    func measuringAtCut(_ outcome: LevelOutcome, on blocks: BlockList, _ level: Level) async throws
        -> LevelOutcome
    {
        guard level.isRecovered, !outcome.best.isEmpty else { return outcome }
        let variants = outcome.best.map { Variant($0.mask) }
        let cut = Level(
            number: level.number,
            parents: zip(outcome.best, variants).map {
                FrontierState($0, as: $1, on: blocks, problem.division)
            },
            expansions: zip(outcome.best, variants).enumerated().map { index, pair in
                Expansion(parent: index, unit: nil, variant: pair.1, cost: pair.0.cost)
            }, keep: .max, baseLoss: level.baseLoss, objective: level.objective, isLast: true)
        let measured = try await evaluate(cut, usesBounds: false)
        let losses = Dictionary(measured.best.map { ($0.mask, $0.loss) }) { first, _ in first }
        // The states were candidates already.
        var work = measured.work
        work.candidates = 0
        return outcome.addingWork(work).keeping(
            outcome.best.map { state in
                var state = state
                state.lossAtCut = losses[state.mask]
                return state
            })
    }

    /// The level with the expansions of each state that lose least before any recovery, and of those, after each of some
    /// shorter trainings, the better half; and all the others.
    func shortlisted(
        _ level: Level, by screening: Screening, on blocks: BlockList, states: [State]
    ) async throws -> (level: Level, skipped: [Expansion], work: WorkCount) {
        var result = try await shortlisted(
            level, to: screening.perState, after: .none, on: blocks, states: states)
        var count = screening.perState
        for steps in screening.halving ?? [] {
            guard let recovery = settings.recovery?.trained(steps: steps), count > 1 else { break }
            count = (count + 1) / 2
            let next = try await shortlisted(
                result.level, to: count, after: recovery, on: blocks, states: states)
            result = (next.level, result.skipped + next.skipped, result.work + next.work)
        }
        return result
    }

    /// The level with the expansions of each state that lose least after a recovery, and the others.
    private func shortlisted(
        _ level: Level, to count: Int, after recovery: Recovery, on blocks: BlockList, states: [State]
    ) async throws -> (level: Level, skipped: [Expansion], work: WorkCount) {
        var (kept, skipped): ([Expansion], [Expansion]) = ([], [])
        var work = WorkCount()
        for (parent, state) in states.enumerated() {
            let own = level.expansions.filter { $0.parent == parent }
            guard own.count > count else {
                kept += own
                continue
            }
            let plain = Variant(state.mask, recovery: recovery)
            let cut = Level(
                number: level.number,
                parents: [FrontierState(state, as: plain, on: blocks, problem.division)],
                expansions: own.map { expansion in
                    Expansion(
                        parent: 0, unit: expansion.unit,
                        variant: Variant(expansion.variant.mask, recovery: recovery),
                        cost: expansion.cost, price: expansion.price)
                }, keep: count, baseLoss: level.baseLoss, objective: level.objective,
                acceptsNonFinite: true, isLast: true)
            let outcome = try await evaluate(cut, usesBounds: settings.usesBounds)
            work = work + outcome.work
            let best = Set(outcome.best.map(\.mask))
            kept += own.filter { best.contains($0.variant.mask) }
            skipped += own.filter { !best.contains($0.variant.mask) }
        }
        return (level.racing(kept, keep: level.keep, maximumIncrease: level.maximumIncrease), skipped, work)
    }
}
