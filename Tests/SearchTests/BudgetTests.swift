import ComputationGraph
import Datasets
import Search
import Testing
import Work

@Suite("A budget that changes are divided by the saving of")
struct BudgetTests {
    /// As the definition says it: at each step the least change of all that reaches the budget, and the way there by the
    /// least change for what is saved, as long as it changes less than the best that reached it.
    private func expected(_ subject: RandomProblem, _ budget: Budget) -> NaiveSearch.Entry? {
        let plain = NaiveSearch(subject, objective: .absolute)
        let priced = NaiveSearch(subject, objective: .absolute, per: budget.quantity)
        let base = plain.base
        func isMet(_ entry: NaiveSearch.Entry) -> Bool { budget.isMet(by: entry.cost, base: base.cost) }
        var state = base
        var goal: NaiveSearch.Entry?
        while true {
            func isUseful(_ entry: NaiveSearch.Entry) -> Bool {
                goal.map { !(entry.loss - base.loss > $0.objective) } ?? true
            }
            // What saves nothing is not removed, although the model may have nothing of it to begin with.
            let amount = state.cost[budget.quantity]
            let reached = plain.best(
                1, of: [state], baseLoss: base.loss, acceptsNonFinite: false,
                where: { isMet($0) && isUseful($0) && $0.cost[budget.quantity] < amount })
            if let found = reached.first, goal.map({ found.objective < $0.objective }) ?? true {
                goal = found
            }
            let next = priced.best(
                1, of: [state], baseLoss: base.loss, acceptsNonFinite: false,
                where: { !isMet($0) && isUseful($0) })
            guard let step = next.first, goal.map({ step.objective < $0.objective }) ?? true else {
                return goal
            }
            state = step
        }
    }

    @Test(
        "is reached by the least change of all that reach it on the way, as brute force finds it",
        arguments: 0..<10)
    func agreesWithBruteForce(group: Int) async throws {
        var reached = 0
        for case_ in 0..<30 {
            let seed = UInt64(90_000 + group * 100 + case_)
            let subject = try RandomProblem(seed: seed, nodes: 3...6)
            let quantity = case_ % 3 == 0 ? "parameters" : "flops"
            let budget = try #require(Budget("\(quantity)=\([0.4, 0.6, 0.8][case_ / 3 % 3])"))
            let expected = expected(subject, budget)
            for workers in [0, 1, 3] {
                let runner: any WorkRunner =
                    workers == 0
                    ? LocalRunner(subject.oracle)
                    : UnrulyRunner(subject.oracle, workers: workers, seed: seed)
                let result = try await Search(
                    subject.problem,
                    settings: SearchSettings(until: budget, usesBounds: workers != 1, per: budget.quantity),
                    runner: runner
                ).run()
                guard let expected else {
                    #expect(result.end != .budget, "seed \(seed)")
                    continue
                }
                reached += 1
                let last = try #require(result.path.last, "seed \(seed)")
                #expect(
                    Fingerprint(last, samples: false) == Fingerprint(expected, samples: false),
                    "seed \(seed), \(budget), \(workers) workers")
                #expect(result.end == .budget)
                // The path leads there one removal at a time.
                #expect(result.path.map(\.mask.count) == Array(1...result.path.count))
            }
        }
        #expect(reached > 0)
    }
}
