internal import ComputationGraph

/// Several removals in one step: for models with thousands of candidates.
extension Search {
    /// The best of a level, and what of the next best does not interact with it, removed together and measured as such.
    ///
    /// Two removals do not interact where no layer computes or reads something of both. The loss of all of them together is
    /// measured exactly. Where it rises by more than half again of what the removals cost one by one, the better half of them is
    /// tried, and so on; in the end the best one goes alone.
    ///
    /// Fewer go where the next best is far worse than those before it, for what the next level opens may well be better; and
    /// none goes beyond those that reach the budget.
    ///
    /// - Parameters:
    ///   - admits: whether a cost may be come to.
    ///   - isEnough: whether nothing more needs to go at a cost.
    func together(
        _ best: [State], of level: Level, on blocks: BlockList, admits: (Cost) -> Bool = { _ in true },
        isEnough: (Cost) -> Bool = { _ in false }
    ) async throws -> (states: [State], work: WorkCount) {
        guard let first = best.first, let leading = first.unit, best.count > 1 else {
            return (best, WorkCount())
        }
        let parentLoss =
            level.parents.first.map { $0.subtotals.reduce(0, +) / problem.division.totalWeight }
            ?? level.baseLoss
        /// What a removal costs, for what it saves where that counts.
        func rise(_ state: State) -> Double {
            state.price?.value(of: state.objective) ?? state.loss - parentLoss
        }
        var bundles = [Bundle(variant: first.variant, cost: first.cost, members: [first])]
        var touched = problem.graph.vertices(touchedBy: leading)
        for state in best.dropFirst() {
            guard let unit = state.unit, let last = bundles.last else { continue }
            if Bundle.isFarBetter(last.members.map(rise), than: rise(state)) || isEnough(last.cost) { break }
            let own = problem.graph.vertices(touchedBy: unit)
            let larger = last.variant.removing(unit)
            guard own.isDisjoint(with: touched), Liveness(of: problem.graph, under: larger.mask).isConnected,
                let assessment = problem.costs.assessment(of: larger.mask),
                assessment.constantOutputs.isEmpty,
                admits(assessment.cost), try isAlive(larger.mask)
            else { continue }
            touched.formUnion(own)
            bundles.append(
                Bundle(variant: larger, cost: assessment.cost, members: last.members + [state]))
        }
        var work = WorkCount()
        var count = bundles.count
        while count > 1 {
            let bundle = bundles[count - 1]
            let (state, own) = try await measured(bundle, leading, price: first.price, of: level, on: blocks)
            work = work + own
            if let state, bundle.isWorth(state.loss, parentLoss: parentLoss) {
                return ([state], work)
            }
            count = (count + 1) / 2
        }
        return ([first], work)
    }

    /// Removals that go together.
    private struct Bundle {
        let variant: Variant
        let cost: Cost
        /// Each by itself, the best first.
        let members: [State]

        /// Together removals may cost so many times what they cost one by one.
        private static let tolerance = 1.5

        /// How many times worse than the one in the middle of those before it a removal may be.
        private static let spread = 4.0

        /// Whether the best removal of those that are left costs more by far than those of a bundle, which are in order.
        static func isFarBetter(_ rises: [Double], than next: Double) -> Bool {
            let middle = rises[(rises.count - 1) / 2]
            return middle > 0 && next > spread * middle
        }

        /// Whether the loss rises by little more than it does one by one.
        func isWorth(_ loss: Double, parentLoss: Double) -> Bool {
            loss - parentLoss <= Bundle.tolerance * members.reduce(0) { $0 + max(0, $1.loss - parentLoss) }
        }
    }

    /// The exact loss of removals that go together; `nil` for one that is not finite, or that the settings do not allow.
    private func measured(
        _ bundle: Bundle, _ leading: Unit, price: Price?, of level: Level, on blocks: BlockList
    ) async throws -> (state: State?, work: WorkCount) {
        let all = Level(
            number: level.number,
            parents: [
                FrontierState(bundle.members[0], as: bundle.variant, on: blocks, problem.division)
            ],
            expansions: [Expansion(parent: 0, unit: nil, variant: bundle.variant, cost: bundle.cost)],
            keep: 1, baseLoss: level.baseLoss, objective: level.objective,
            maximumIncrease: level.maximumIncrease, accuracyFloor: level.accuracyFloor)
        let outcome = try await evaluate(all, usesBounds: false)
        var work = outcome.work
        work.candidates = 0
        guard let measured = outcome.best.first, measured.loss.isFinite else { return (nil, work) }
        var state = State(
            variant: bundle.variant, unit: leading, loss: measured.loss, objective: measured.objective,
            correct: measured.correct, sampleLosses: measured.sampleLosses, cost: bundle.cost, price: price,
            nonFiniteLosses: measured.nonFiniteLosses)
        state.alongside = bundle.members.dropFirst().compactMap(\.unit).sorted()
        return (state, work)
    }
}
