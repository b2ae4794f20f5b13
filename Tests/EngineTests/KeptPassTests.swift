import ComputationGraph
import Datasets
import Testing

@testable import Engine

@Suite("Base passes that are kept")
struct KeptPassTests {
    /// Tasks as a race asks for them: the same blocks again with fewer expansions, from one state and then a larger one.
    private func tasks(_ fixture: ModelFixture) -> [(state: Mask, samples: [Int], expansions: [Edge?])] {
        let edges = fixture.candidates.representatives
        let blocks = [[0, 1, 2], [5, 3, 4], [6, 7]]
        return [Mask.empty, Mask([edges[edges.count / 2]])].flatMap { state in
            [edges, Array(edges.reversed().prefix(4)), Array(edges.prefix(2))].flatMap { expansions in
                blocks.map { (state, $0, expansions.filter { !state.edges.contains($0) }) }
            }
        }
    }

    @Test("change the work and not a bit of the losses", arguments: ModelFixture.names)
    func sameBits(model: String) throws {
        let fixture = try ModelFixture(model)
        let keeping = try fixture.evaluator()
        let forgetting = try fixture.evaluator(keptBytes: 0)
        let crowded = try fixture.evaluator(keptBytes: 100_000)
        for (state, samples, expansions) in tasks(fixture) {
            let expected = try forgetting.evaluate(state: state, samples: samples, expansions: expansions)
            for evaluator in [keeping, crowded] {
                let scores = try evaluator.evaluate(state: state, samples: samples, expansions: expansions)
                #expect(scores.map(Bits.init) == expected.map(Bits.init), "\(state) \(samples)")
            }
        }
        #expect(keeping.computedSteps < forgetting.computedSteps)
    }

    @Test("keep the unpruned model's outputs too, where the loss compares with them")
    func references() throws {
        let fixture = try ModelFixture("resnet18")
        let keeping = try fixture.evaluator(.klDivergence)
        let forgetting = try fixture.evaluator(.klDivergence, keptBytes: 0)
        for (state, samples, expansions) in tasks(fixture) {
            let expected = try forgetting.evaluate(state: state, samples: samples, expansions: expansions)
            let scores = try keeping.evaluate(state: state, samples: samples, expansions: expansions)
            #expect(scores.map(Bits.init) == expected.map(Bits.init))
        }
    }

    @Test(
        "of an expansion serve as those of the state that it becomes, to the same bits",
        arguments: ModelFixture.names)
    func contenders(model: String) throws {
        let fixture = try ModelFixture(model)
        let forgetting = try fixture.evaluator(keptBytes: 0)
        let keeping = try fixture.evaluator()
        let foreseeing = try fixture.evaluator()
        let crowded = try fixture.evaluator(keptBytes: 100_000)
        var generator = Seeded(11)
        for _ in 0..<3 {
            var state = Mask.empty
            while state.count < 4 {
                let edges = fixture.candidates.expansions(of: state, in: fixture.graph).shuffled(
                    using: &generator)
                guard let winner = edges.first else { break }
                let some = Array(edges.prefix(6))
                for samples in [[0, 1, 2], [5, 3, 4], [6, 7]] {
                    let expected = try forgetting.evaluate(state: state, samples: samples, expansions: some)
                        .map(Bits.init)
                    // The winner, and one that comes to nothing.
                    for evaluator in [foreseeing, crowded] {
                        let scores = try evaluator.evaluate(
                            state: state, samples: samples, expansions: some,
                            contenders: Array([0, 3].prefix(some.count / 2)))
                        #expect(scores.map(Bits.init) == expected, "\(state) \(samples)")
                    }
                    _ = try keeping.evaluate(state: state, samples: samples, expansions: some)
                }
                state = state.removing(winner)
            }
        }
        #expect(foreseeing.computedSteps < keeping.computedSteps)
    }
}
