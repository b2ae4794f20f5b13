import ComputationGraph
import Datasets
import Testing

@testable import Search

@Suite("A price")
struct PriceTests {
    private func state(_ parameters: Int, objective: Double = 0) -> State {
        State(
            variant: Variant(.empty), unit: nil, loss: 1 + objective, objective: objective, correct: nil,
            sampleLosses: [],
            cost: Cost(parameters: parameters, flops: parameters))
    }

    private func price(_ parameters: Int, from state: State, strategy: Strategy = .greedy) -> Price? {
        SearchSettings(strategy: strategy, per: .parameters)
            .price(of: Cost(parameters: parameters, flops: 0), expanding: state, base: self.state(1000)).price
    }

    @Test("divides a rise by the share that is saved, and puts what does not rise first, by its saving")
    func order() throws {
        // From 0.02 to 0.05 for a tenth of 1,000 parameters: 0.03 / 0.1.
        let large = try #require(price(800, from: state(900, objective: 0.02)))
        #expect(abs(large.value(of: 0.05) - 0.3) < 1e-12)
        let small = try #require(price(890, from: state(900, objective: 0.02)))
        #expect(small.value(of: 0.03) > large.value(of: 0.05))
        #expect(large.value(of: 0.02) < small.value(of: 0.01))
        #expect(small.value(of: 0.02) < large.value(of: 0.020001))
        #expect(large.value(of: .infinity) == .infinity)
    }

    @Test("there is none for what saves nothing")
    func worthless() {
        for parameters in [900, 901] {
            let (price, isWorthless) = SearchSettings(per: .parameters).price(
                of: Cost(parameters: parameters, flops: 0), expanding: state(900), base: state(1000))
            #expect(price == nil && isWorthless)
        }
    }

    @Test("counts a beam's sets from the full model, a single path's from the state before")
    func origins() throws {
        let parent = state(900, objective: 0.02)
        // 0.06 for two tenths, and 0.04 for one.
        #expect(
            abs(try #require(price(800, from: parent, strategy: .beam(width: 2))).value(of: 0.06) - 0.3)
                < 1e-12)
        #expect(abs(try #require(price(800, from: parent)).value(of: 0.06) - 0.4) < 1e-12)
    }

    /// Multiplying, dividing and subtracting round monotonically; a bound that exceeded a value would drop a winner.
    @Test("keeps the order of any two objective values")
    func monotone() {
        var random = SplitMix64(seed: 5)
        for _ in 0..<20_000 {
            let price = Price(
                saving: .random(in: 1e-9...1, using: &random), origin: .random(in: -1...1, using: &random))
            let value = Double.random(in: -1...2, using: &random)
            let larger =
                Bool.random(using: &random) ? value.nextUp : value + .random(in: 0...1, using: &random)
            #expect(price.value(of: value) <= price.value(of: larger))
        }
    }
}
