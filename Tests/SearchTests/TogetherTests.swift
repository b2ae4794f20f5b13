import ComputationGraph
import Testing
import Work

@testable import Search

@Suite("Removals that go together in a step")
struct TogetherTests {
    /// What each removal of a step costs by itself, the best first, with the cost of the model without those up to it.
    private func members(
        of step: State, after parent: Mask, _ naive: NaiveSearch, per: Budget.Quantity?
    ) throws -> [(rise: Double, cost: Cost)] {
        let costs = naive.subject.problem.costs
        let before = naive.entry(parent)
        let units = try [#require(step.unit)] + step.alongside
        let base = naive.base.cost
        let ordered = units.map { unit -> (unit: ComputationGraph.Unit, rise: Double, rank: Double) in
            let entry = naive.entry(parent.removing(unit))
            guard let per else { return (unit, entry.loss - before.loss, entry.objective) }
            let rise = entry.objective - before.objective
            let saving = Double(before.cost[per] - entry.cost[per]) / Double(base[per])
            let value = rise > 0 ? rise / saving : -saving
            return (unit, value, value)
        }.sorted { $0.rank < $1.rank }
        var mask = parent
        return ordered.map { one in
            mask = mask.removing(one.unit)
            return (one.rise, costs.cost(of: mask))
        }
    }

    @Test(
        "are none beyond those that reach the budget, and none that costs far more than the others",
        arguments: 0..<6)
    func isEnough(group: Int) async throws {
        var (several, ended) = (0, 0)
        for case_ in 0..<20 {
            let seed = UInt64(410_000 + group * 100 + case_)
            let subject = try RandomProblem(seed: seed, nodes: 10...16, kind: .realistic)
            let budget = try #require(Budget("flops=\([0.3, 0.6, 0.8][case_ % 3])"))
            let naive = NaiveSearch(subject, objective: .absolute)
            // Without a price, and with one: what screening leaves out nothing of is the plain way to a budget.
            for per in [nil, Budget.Quantity.parameters] {
                var settings = SearchSettings(until: budget, per: per)
                settings.stepRemovals = 5
                let result = try await Search(
                    subject.problem, settings: settings, runner: LocalRunner(subject.oracle)
                ).run()
                var parent = Mask.empty
                for step in result.path {
                    defer { parent = step.mask }
                    guard !step.alongside.isEmpty else { continue }
                    several += 1
                    let members = try members(of: step, after: parent, naive, per: per)
                    #expect(members.last?.cost == step.cost, "seed \(seed)")
                    for (place, member) in members.enumerated().dropFirst() {
                        let earlier = members[place - 1]
                        #expect(
                            !budget.isMet(by: earlier.cost, base: naive.base.cost),
                            "seed \(seed): \(place) removals were enough")
                        let middle = members[(place - 1) / 2].rise
                        #expect(middle <= 0 || member.rise <= 4 * middle * (1 + 1e-9), "seed \(seed)")
                    }
                }
                if result.end == .budget { ended += 1 }
            }
        }
        #expect(several > 5 && ended > 5, "\(several) steps of several removals, \(ended) budgets")
    }
}
