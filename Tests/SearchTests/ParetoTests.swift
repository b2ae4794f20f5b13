import ComputationGraph
import Testing

@testable import Search

@Suite("The Pareto front")
struct ParetoTests {
    @Test(
        "holds one of each best pair of loss and cost, cheapest last",
        arguments: [Budget.Quantity.flops, .parameters])
    func agreesWithTheDefinition(quantity: Budget.Quantity) {
        var random = SplitMix64(seed: 17)
        for _ in 0..<200 {
            func state(_ index: Int) -> State {
                let loss = [Double.random(in: 0..<1, using: &random), 0.25, .infinity][
                    Int.random(in: 0..<3, using: &random)]
                return State(
                    variant: Variant(index == 0 ? .empty : Mask([Edge(node: index, slot: 0)])), unit: nil,
                    loss: index == 0 ? 0.5 : loss, objective: 0, correct: nil, sampleLosses: [],
                    cost: Cost(
                        parameters: .random(in: 1...6, using: &random),
                        flops: .random(in: 1...6, using: &random)))
            }
            let states = (0..<Int.random(in: 1...20, using: &random)).map(state)
            let result = SearchResult(
                base: states[0], path: [], levels: [Array(states.dropFirst())], work: [])
            func amount(_ state: State) -> Int {
                quantity == .flops ? state.cost.flops : state.cost.parameters
            }
            /// Whether another is at least as good in both, and better in one.
            func isBeaten(_ state: State) -> Bool {
                states.contains {
                    $0.loss <= state.loss && amount($0) <= amount(state)
                        && ($0.loss < state.loss || amount($0) < amount(state))
                }
            }
            let expected = Set(
                states.filter { $0.loss.isFinite && !isBeaten($0) }.map { [$0.loss, Double(amount($0))] })
            let front = result.paretoFront(of: quantity)
            #expect(
                Set(front.map { [$0.loss, Double(amount($0))] }) == expected && front.count == expected.count)
            #expect(zip(front, front.dropFirst()).allSatisfy { amount($0) > amount($1) && $0.loss < $1.loss })
        }
    }
}
