import ComputationGraph
import Datasets
import Testing

@testable import Engine

@Suite("An expansion on top of a base pass")
struct PrefixReuseTests {
    @Test("gives the bits of a full pass, for every candidate", arguments: ModelFixture.names)
    func everyCandidate(model: String) throws {
        let fixture = try ModelFixture(model)
        let evaluator = try fixture.evaluator()
        let samples = [5, 0, 3]
        let edges = fixture.candidates.all
        let together = try evaluator.evaluate(
            state: .empty, samples: samples, expansions: [nil] + edges.map { Unit($0) }
        ).map(
            Bits.init)
        #expect(
            together[0] == Bits(try evaluator.evaluate(state: .empty, samples: samples, expansions: [nil])[0])
        )
        var changes = 0
        for (edge, scores) in zip(edges, together.dropFirst()) {
            let whole = Bits(
                try evaluator.evaluate(state: Mask([edge]), samples: samples, expansions: [nil])[0])
            #expect(scores == whole, "\(edge)")
            if scores != together[0] { changes += 1 }
        }
        // If removing changed nothing, this would show nothing.
        #expect(changes > edges.count / 2)
    }

    @Test(
        "gives the bits of a full pass from any state, in either order of removal",
        arguments: ModelFixture.names)
    func pairsAndTriples(model: String) throws {
        let fixture = try ModelFixture(model)
        let evaluator = try fixture.evaluator()
        var generator = Seeded(3)
        let samples = [1, 7, 2]
        for _ in 0..<20 {
            let mask = fixture.randomMask(Int.random(in: 2...3, using: &generator), using: &generator)
            let whole = Bits(try evaluator.evaluate(state: mask, samples: samples, expansions: [nil])[0])
            for edge in mask.edges {
                let state = Mask(mask.edges.filter { $0 != edge })
                let scores = try evaluator.evaluate(state: state, samples: samples, expansions: [Unit(edge)])[
                    0]
                #expect(Bits(scores) == whole, "\(mask) by \(edge)")
            }
        }
    }

    @Test(
        "takes no more steps than one full pass, however late the cut",
        arguments: ["resnet18", "vit", "densenet", "lstm"])
    func costsNoMoreThanAPass(model: String) throws {
        let fixture = try ModelFixture(model)
        let evaluator = try fixture.evaluator(keptBytes: 0)
        func steps(_ state: Mask, _ expansions: [Unit?]) throws -> Int {
            let before = evaluator.computedSteps
            _ = try evaluator.evaluate(state: state, samples: [0, 1], expansions: expansions)
            return evaluator.computedSteps - before
        }
        let pass = try steps(.empty, [nil])
        for edge in fixture.candidates.all {
            let whole = try steps(Mask([edge]), [nil])
            #expect(try steps(.empty, [Unit(edge)]) == whole)
            // A cut within a GELU has its five layers computed one by one.
            #expect(whole <= (model == "vit" ? pass + 4 : pass))
        }
        // Many expansions share the base pass; the late ones cost least.
        let edges = fixture.candidates.representatives.map { Unit($0) }
        let apart = try edges.reduce(0) { try $0 + steps(.empty, [$1]) }
        let together = try steps(.empty, edges)
        #expect(together < apart * 7 / 8, "\(together) of \(apart)")
    }

    @Test("into a layer that is dead already changes nothing")
    func deadConsumer() throws {
        let fixture = try ModelFixture("resnet18")
        let evaluator = try fixture.evaluator()
        let add = try #require(fixture.graph.vertices.first { $0.operation == "Add" })
        // The convolution that feeds the block's branch is dead once the branch is cut.
        let branch = add.inputs.enumerated().compactMap { slot, value -> (Int, Int)? in
            guard let producer = value.flatMap({ fixture.graph.values[$0].producer }) else { return nil }
            return fixture.graph.vertices[producer].operation == "Conv" ? (slot, producer) : nil
        }
        let (slot, convolution) = try #require(branch.first)
        let state = Mask([Edge(node: add.index, slot: slot)])
        let scores = try evaluator.evaluate(
            state: state, samples: [0, 1, 2], expansions: [Unit(Edge(node: convolution, slot: 0)), nil]
        ).map(Bits.init)
        #expect(scores[0] == scores[1])
        let alone = try evaluator.evaluate(
            state: state, samples: [0, 1, 2], expansions: [Unit(Edge(node: convolution, slot: 0))]
        ).map(Bits.init)
        #expect(alone[0] == scores[1])
    }
}
