internal import ComputationGraph

/// Several removals in one step: for models with thousands of candidates.
extension Search {
    /// The best of a level, and what of the next best does not interact with it, removed together and measured as such.
    ///
    /// Two removals do not interact where no layer computes or reads something of both. The loss of all of them together is
    /// measured exactly; where it is no better than what the settings allow, the best one goes alone.
    ///
    /// - Parameter admits: whether a cost may be come to.
    func together(
        _ best: [State], of level: Level, on blocks: BlockList, admits: (Cost) -> Bool = { _ in true }
    ) async throws -> (states: [State], work: WorkCount) {
        guard let first = best.first, let leading = first.unit, best.count > 1 else {
            return (best, WorkCount())
        }
        var variant = first.variant
        var cost = first.cost
        var others: [Unit] = []
        var touched = problem.graph.vertices(touchedBy: leading)
        for state in best.dropFirst() {
            guard let unit = state.unit else { continue }
            let own = problem.graph.vertices(touchedBy: unit)
            let larger = variant.removing(unit)
            guard own.isDisjoint(with: touched), Liveness(of: problem.graph, under: larger.mask).isConnected,
                let assessment = problem.costs.assessment(of: larger.mask),
                assessment.constantOutputs.isEmpty,
                admits(assessment.cost), try isAlive(larger.mask)
            else { continue }
            (variant, cost) = (larger, assessment.cost)
            touched.formUnion(own)
            others.append(unit)
        }
        guard !others.isEmpty else { return ([first], WorkCount()) }
        let all = Level(
            number: level.number,
            parents: [FrontierState(first, as: variant, on: blocks, problem.division)],
            expansions: [Expansion(parent: 0, unit: nil, variant: variant, cost: cost)], keep: 1,
            baseLoss: level.baseLoss, objective: level.objective, maximumIncrease: level.maximumIncrease,
            accuracyFloor: level.accuracyFloor)
        let outcome = try await evaluate(all, usesBounds: false)
        var work = outcome.work
        work.candidates = 0
        guard let measured = outcome.best.first, measured.loss.isFinite else { return ([first], work) }
        var state = State(
            variant: variant, unit: leading, loss: measured.loss, objective: measured.objective,
            correct: measured.correct, sampleLosses: measured.sampleLosses, cost: cost, price: first.price,
            nonFiniteLosses: measured.nonFiniteLosses)
        state.alongside = others.sorted()
        return ([state], work)
    }
}
