internal import ComputationGraph
internal import Work

/// What a search by the loss after recovery measures besides.
extension Search {
    /// The outcome with what is told of its states besides: what they lose before their recovery, what the first of a
    /// training's repeats loses, whose weights stay, and these.
    func described(_ outcome: LevelOutcome, on blocks: BlockList, of level: Level) async throws
        -> LevelOutcome
    {
        guard level.isRecovered, !outcome.best.isEmpty else { return outcome }
        let cut = try await measured(outcome.best, on: blocks, of: level) {
            Variant($0.mask, weights: $0.variant.weights)
        }
        var (states, work) = (outcome.best, cut.work)
        for index in states.indices { states[index].lossAtCut = cut.states[states[index].mask]?.loss }
        if settings.recovery?.training.map({ $0.repeats > 1 }) ?? false {
            let first = try await measured(outcome.best, on: blocks, of: level) { $0.variant.bySeed[0] }
            work = work + first.work
            states = states.map { state in first.states[state.mask].map { state.measured(as: $0) } ?? state }
        }
        return try await keepingWeights(outcome.addingWork(work).keeping(states), of: level)
    }

    /// What states come to as other variants of the same masks.
    private func measured(
        _ states: [State], on blocks: BlockList, of level: Level, as variant: (State) -> Variant
    ) async throws -> (states: [Mask: State], work: WorkCount) {
        let variants = states.map(variant)
        let all = Level(
            number: level.number,
            parents: zip(states, variants).map {
                FrontierState($0, as: $1, on: blocks, problem.division)
            },
            expansions: zip(states, variants).enumerated().map { index, pair in
                Expansion(parent: index, unit: nil, variant: pair.1, cost: pair.0.cost)
            }, keep: .max, baseLoss: level.baseLoss, objective: level.objective, isLast: true)
        let measured = try await evaluate(all, usesBounds: false)
        // The states were candidates already.
        var work = measured.work
        work.candidates = 0
        return (Dictionary(measured.best.map { ($0.mask, $0) }) { first, _ in first }, work)
    }

    /// The outcome with the weights that its states' recoveries made, which those of expansions start from, and files get.
    ///
    /// Where weights follow from the mask in closed form, every expansion's do too, and start from the model's own.
    private func keepingWeights(_ outcome: LevelOutcome, of level: Level) async throws -> LevelOutcome {
        guard settings.recovery?.training != nil, level.isRecovered, !outcome.best.isEmpty else {
            return outcome
        }
        let source = try await runner.run(
            WeightsSource(
                outcome.best.map { $0.variant.bySeed[0] }, stage: level.stage + 1, means: problem.means,
                fitData: problem.fitData))
        var states: [State] = []
        for (var state, weights) in zip(outcome.best, source.weights) {
            let name = WeightsID(try await runner.provide(weights))
            madeWeights(name, weights, source.stage)
            state.weights = name
            states.append(state)
        }
        return outcome.keeping(states)
    }

    /// Lets go of weights that no expansion starts from any more.
    func withdrawWeights(of states: [State], keeping others: [State]) async {
        let kept = Set(others.compactMap(\.weights))
        for weights in states.compactMap(\.weights) where !kept.contains(weights) {
            await runner.withdraw(ContentID(weights))
        }
    }

    /// A level with the expansions that go on to its recovery, and what was found out about them before.
    struct Shortlist {
        var level: Level
        var skipped: [Expansion] = []
        var work = WorkCount()
        /// What is known after each rung before the last, of the expansions that went on from it.
        var rungs: [(name: String, values: [Mask: Double])] = []
    }

    /// The level with the expansions of each state that lose least before any recovery, and of those, after each of some
    /// shorter trainings, the better half; and all the others.
    func shortlisted(
        _ level: Level, by screening: Screening, on blocks: BlockList, states: [State]
    ) async throws -> Shortlist {
        var list = Shortlist(level: level)
        var count = screening.perState
        try await shorten(&list, to: count, after: .none, on: blocks, states: states)
        for steps in screening.halving ?? [] {
            guard let recovery = settings.recovery?.trained(steps: steps), count > 1 else { break }
            count = (count + 1) / 2
            try await shorten(&list, to: count, after: recovery, on: blocks, states: states)
        }
        return list
    }

    /// Leaves the expansions of each state that lose least after a recovery.
    private func shorten(
        _ list: inout Shortlist, to count: Int, after recovery: Recovery, on blocks: BlockList,
        states: [State]
    ) async throws {
        let level = list.level
        var kept: [Expansion] = []
        var values: [Mask: Double] = [:]
        for (parent, state) in states.enumerated() {
            let own = level.expansions.filter { $0.parent == parent }
            guard own.count > count else {
                kept += own
                continue
            }
            let plain = Variant(state.mask, weights: state.weights, recovery: recovery)
            let rung = Level(
                number: level.number,
                parents: [FrontierState(state, as: plain, on: blocks, problem.division)],
                expansions: own.map { expansion in
                    Expansion(
                        parent: 0, unit: expansion.unit,
                        variant: Variant(
                            expansion.variant.mask, weights: state.weights, recovery: recovery),
                        cost: expansion.cost, price: expansion.price)
                }, keep: comparesRungs && !recovery.isNone ? .max : count, baseLoss: level.baseLoss,
                objective: level.objective, acceptsNonFinite: true, isLast: true)
            let outcome = try await evaluate(
                rung, usesBounds: settings.usesBounds && rung.keep < .max)
            list.work = list.work + outcome.work
            let best = Set(outcome.best.prefix(count).map(\.mask))
            for state in outcome.best { values[state.mask] = state.value }
            kept += own.filter { best.contains($0.variant.mask) }
            list.skipped += own.filter { !best.contains($0.variant.mask) }
        }
        list.rungs.append((recovery.rungName, values))
        list.level = level.racing(kept, keep: level.keep, maximumIncrease: level.maximumIncrease)
    }

    /// Whether all of what goes on to a rung is measured in full, and rungs are held against each other: beside trainings,
    /// measuring costs little.
    private var comparesRungs: Bool { settings.recovery?.training != nil }

    /// The best of a shortlisted level after its recovery.
    func finalists(of list: inout Shortlist) async throws -> (outcome: LevelOutcome, rungs: [RungAgreement]) {
        let level = list.level
        guard comparesRungs, !list.rungs.isEmpty else {
            return (try await evaluate(level, usesBounds: settings.usesBounds), [])
        }
        let all = try await evaluate(
            level.racing(level.expansions, keep: .max, maximumIncrease: level.maximumIncrease),
            usesBounds: false)
        if let recovery = settings.recovery {
            list.rungs.append(
                (
                    recovery.rungName,
                    Dictionary(all.best.map { ($0.mask, $0.value) }) { first, _ in first }
                ))
        }
        return (
            all.keeping(Array(all.best.prefix(level.keep))),
            zip(list.rungs, list.rungs.dropFirst()).map { RungAgreement(from: $0, to: $1) }
        )
    }
}

extension Recovery {
    /// The recovery as a report on rungs names it.
    fileprivate var rungName: String {
        guard !isNone else { return "at the cut" }
        let names =
            Rung.allCases.filter(rungs.contains).map(\.rawValue)
            + (training.map { ["train:\($0.steps)" + ($0.repeats > 1 ? "x\($0.repeats)" : "")] } ?? [])
        return names.joined(separator: "+")
    }
}
