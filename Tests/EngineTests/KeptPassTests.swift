import ComputationGraph
import Datasets
import Testing

@testable import Engine

@Suite("Base passes that are kept")
struct KeptPassTests {
    /// Tasks as a race asks for them: the same blocks again with fewer expansions, from one state and then a larger one.
    private func tasks(_ fixture: ModelFixture) -> [(state: Mask, samples: [Int], expansions: [Unit?])] {
        let edges = fixture.candidates.representatives.map { Unit($0) }
        let blocks = [[0, 1, 2], [5, 3, 4], [6, 7]]
        return [Mask.empty, Mask([edges[edges.count / 2]])].flatMap { state in
            [edges, Array(edges.reversed().prefix(4)), Array(edges.prefix(2))].flatMap { expansions in
                blocks.map { (state, $0, expansions.filter { !state.contains($0) }) }
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

    @Test("hold what expansions of the last tasks read, and no more what only others did")
    func recentReads() throws {
        let fixture = try ModelFixture("resnet18")
        let (forgetting, keeping) = (try fixture.evaluator(keptBytes: 0), try fixture.evaluator())
        let edges = fixture.candidates.representatives.map { Unit($0) }
        let (early, late) = (try #require(edges.first), try #require(edges.last))
        func steps(_ evaluator: Evaluator, _ expansions: [Unit?], on block: Int) throws -> Int {
            let before = evaluator.computedSteps
            _ = try evaluator.evaluate(state: .empty, samples: [block], expansions: expansions)
            return evaluator.computedSteps - before
        }
        let anew = try steps(forgetting, [early], on: 1)
        _ = try steps(keeping, [early, late], on: 0)
        _ = try steps(keeping, [late], on: 1)
        #expect(try steps(keeping, [early], on: 1) < anew)
        // Once it is not asked for any more, its reads make room.
        for block in 2..<7 { _ = try steps(keeping, [late], on: block) }
        #expect(try steps(keeping, [early], on: 6) == anew)
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
    func hinted(model: String) throws {
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
                            reuseHints: Array([0, 3].prefix(some.count / 2)), stage: state.count)
                        #expect(scores.map(Bits.init) == expected, "\(state) \(samples)")
                    }
                    _ = try keeping.evaluate(state: state, samples: samples, expansions: some)
                }
                state = state.removing(winner)
            }
        }
        #expect(foreseeing.computedSteps < keeping.computedSteps)
    }

    /// The states of a beam, each with hints, twice in a row as levels of a search: sets that differ by a late edge
    /// alone start from each other's passes.
    @Test(
        "of one expansion serve others that differ from it late, to the same bits",
        arguments: ["densenet", "gpt2", "resnet18", "unet", "vit"])
    func kin(model: String) throws {
        let fixture = try ModelFixture(model)
        let forgetting = try fixture.evaluator(keptBytes: 0)
        let keeping = try fixture.evaluator()
        let crowded = try fixture.evaluator(keptBytes: 300_000)
        let ownStates = try fixture.evaluator()
        var generator = Seeded(23)
        var beam = [Mask.empty]
        for _ in 0..<3 {
            var next: [Mask] = []
            // A block after the other, as one worker visits them.
            for samples in [[0, 1, 2], [5, 3, 4]] {
                for state in beam {
                    let edges = Array(
                        fixture.candidates.expansions(of: state, in: fixture.graph).shuffled(
                            using: &generator
                        )
                        .prefix(7))
                    let expected = try forgetting.evaluate(state: state, samples: samples, expansions: edges)
                        .map(Bits.init)
                    for evaluator in [keeping, crowded] {
                        let scores = try evaluator.evaluate(
                            state: state, samples: samples, expansions: edges,
                            reuseHints: Array(edges.indices.prefix(3)), stage: state.count)
                        #expect(scores.map(Bits.init) == expected, "\(state) \(samples)")
                    }
                    let alone = try ownStates.evaluate(state: state, samples: samples, expansions: edges)
                    #expect(alone.map(Bits.init) == expected, "\(state) \(samples)")
                    next += edges.prefix(2).map(state.removing)
                }
            }
            beam = Array(Set(next).sorted().prefix(4))
        }
        #expect(keeping.computedSteps < ownStates.computedSteps)
    }

    @Test("of a sibling save an expansion all that lies before the edges by which the two states differ")
    func siblings() throws {
        let fixture = try ModelFixture("resnet18")
        // Into the sums at the ends of the residual blocks.
        let edges = try Candidates(of: fixture.graph, selection: .branches).representatives
        let (early, other, late) = (edges[0], edges[edges.count - 3], edges[edges.count - 1])
        func steps(_ evaluator: Evaluator, _ state: Mask, _ edge: Edge?) throws -> Int {
            let before = evaluator.computedSteps
            _ = try evaluator.evaluate(state: state, samples: [0, 1, 2], expansions: [edge.map { Unit($0) }])
            return evaluator.computedSteps - before
        }
        let alone = try fixture.evaluator()
        _ = try steps(alone, Mask([other]), early)
        // The state's pass is there now.
        let again = try steps(alone, Mask([other]), early)
        let kept = try fixture.evaluator()
        // Both states are known before, so that it shows by which edges they differ.
        for state in [late, other] { _ = try steps(kept, Mask([state]), nil) }
        _ = try steps(kept, Mask([late]), early)
        let last = try steps(kept, Mask([other]), early)
        #expect(last * 2 < again, "\(last) steps, and \(again)")
    }
}
