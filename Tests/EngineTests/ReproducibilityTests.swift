import ComputationGraph
import Datasets
import Testing

@testable import Engine

@Suite("The same block, state and expansion")
struct ReproducibilityTests {
    static let cases: [(String, Loss)] = [
        ("resnet18", .crossEntropy), ("gpt2", .klDivergence), ("unet", .meanSquaredError),
        ("bert", .selfMeanSquaredError),
    ]

    @Test(
        "give the same bits however expansions are grouped, and whatever was computed before",
        arguments: cases)
    func grouping(model: String, loss: Loss) throws {
        let fixture = try ModelFixture(model)
        let reference = try fixture.evaluator(loss)
        let worker = try fixture.evaluator(loss)
        var generator = Seeded(9)
        let blocks = [[0, 1, 2, 3], [4, 5], [7, 6, 1], [3, 1, 2, 0], [6, 7], [5, 4]]
        for _ in 0..<3 {
            let state = fixture.randomMask(Int.random(in: 0...2, using: &generator), using: &generator)
            let legal = fixture.candidates.expansions(of: state, in: fixture.graph)
            let edges = [nil] + legal.shuffled(using: &generator).prefix(12).map(Unit?.some)
            var expected: [[Int]: [Unit?: Bits]] = [:]
            for block in blocks {
                let scores = try reference.evaluate(state: state, samples: block, expansions: edges)
                for (edge, score) in zip(edges, scores) { expected[block, default: [:]][edge] = Bits(score) }
            }
            for _ in 0..<30 {
                let block = blocks.randomElement(using: &generator) ?? []
                let some = Array(
                    edges.shuffled(using: &generator).prefix(Int.random(in: 1...4, using: &generator)))
                let scores = try worker.evaluate(state: state, samples: block, expansions: some)
                for (edge, score) in zip(some, scores) { #expect(Bits(score) == expected[block]?[edge]) }
            }
        }
    }

    @Test("give the same bits in another network of the same model")
    func freshNetwork() throws {
        let first = try ModelFixture("mobilenetv3-small")
        let second = try ModelFixture("mobilenetv3-small")
        let edges: [Unit?] = [nil] + first.candidates.representatives.map { Unit($0) }
        // The second has met other blocks and shapes before.
        for size in [8, 1, 5, 2, 3, 4, 6, 7, 8, 2] {
            _ = try second.evaluator().evaluate(state: .empty, samples: Array(0..<size), expansions: [nil])
        }
        let samples = [2, 6, 1, 0]
        let one = try first.evaluator().evaluate(state: .empty, samples: samples, expansions: edges).map(
            Bits.init)
        let other = try second.evaluator().evaluate(state: .empty, samples: samples, expansions: edges).map(
            Bits.init)
        #expect(one == other)
    }

    @Test("give the same bits while other threads compute")
    func severalThreads() async throws {
        let counts = try await withThrowingTaskGroup(of: [Bits: Int].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let fixture = try ModelFixture("vit")
                    let evaluator = try fixture.evaluator()
                    var counts: [Bits: Int] = [:]
                    for _ in 0..<60 {
                        let scores = try evaluator.evaluate(
                            state: .empty, samples: [5, 0, 3], expansions: [nil])
                        counts[Bits(scores[0]), default: 0] += 1
                    }
                    return counts
                }
            }
            return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
        }
        #expect(counts.count == 1, "\(counts)")
    }

    @Test("Edges of one class give the same bits, whatever else is removed", arguments: ModelFixture.names)
    func classesAreEquivalent(model: String) throws {
        let fixture = try ModelFixture(model)
        let evaluator = try fixture.evaluator()
        var generator = Seeded(21)
        for size in [0, 1, 2, 3] {
            let state = fixture.randomMask(size, using: &generator)
            let legal = fixture.candidates.expansions(of: state, in: fixture.graph).map(\.edge)
                .filter { fixture.candidates.equivalents[$0] != nil }
            for edge in legal.shuffled(using: &generator).prefix(20) {
                let others = fixture.candidates.equivalents[edge] ?? []
                let scores = try evaluator.evaluate(
                    state: state, samples: [4, 2], expansions: ([edge] + others).map { Unit($0) }
                ).map(Bits.init)
                #expect(Set(scores).count == 1, "\(state): \(edge) and \(others): \(scores)")
            }
        }
    }
}
