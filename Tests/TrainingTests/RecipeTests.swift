import Foundation
import Testing
import Work

@testable import Training

@Suite("A recipe")
struct RecipeTests {
    @Test("warms up, and falls as its schedule says", arguments: RateSchedule.allCases)
    func rates(schedule: RateSchedule) {
        let recipe = TrainingRecipe(rate: 0.4, schedule: schedule, warmup: 4, steps: 44)
        #expect((0..<4).map(recipe.rate(at:)) == [0.1, 0.2, 0.4 * 3 / 4, 0.4].map { $0 })
        for step in 4..<44 {
            let share = Double(step - 4) / 40
            let expected =
                switch schedule {
                case .cosine: 0.2 * (1 + cos(Double.pi * share))
                case .linear: 0.4 * (1 - share)
                case .constant: 0.4
                }
            #expect(abs(recipe.rate(at: step) - expected) < 1e-15)
        }
    }

    @Test("uses every sample once an epoch, in another order each time")
    func epochs() {
        var order = SampleOrder(shards: [Array(5..<45)], batch: 10, microBatch: 4, seed: 1)
        #expect(order.stepsPerEpoch == 4)
        var epochs: [[Int]] = []
        for epoch in 0..<3 {
            let samples = (0..<4).flatMap { order.microBatches(of: 4 * epoch + $0).flatMap(\.samples) }
            #expect(samples.sorted() == Array(5..<45))
            epochs.append(samples)
        }
        #expect(Set(epochs).count == 3)
        var again = SampleOrder(shards: [Array(5..<45)], batch: 10, microBatch: 4, seed: 1)
        #expect(again.microBatches(of: 11).flatMap(\.samples) == Array(epochs[2].suffix(10)))
        #expect(order.microBatches(of: 7).map(\.samples.count) == [4, 4, 2])
    }

    @Test("takes from every shard its share")
    func shards() {
        var order = SampleOrder(shards: [Array(0..<30), Array(30..<40)], batch: 8, microBatch: 2, seed: 5)
        var counts = [Int](repeating: 0, count: 40)
        for step in 0..<500 {
            for part in order.microBatches(of: step) {
                #expect(part.samples.allSatisfy { ($0 < 30) == (part.shard == 0) })
                for sample in part.samples { counts[sample] += 1 }
            }
        }
        let first = counts[..<30].reduce(0, +)
        #expect(abs(Double(first) / 4000 - 0.75) < 0.05)
        #expect(counts.allSatisfy { (60...140).contains($0) })
    }

    @Test("a checkpoint goes on with the same bits; of other weights it is refused")
    func checkpoints() throws {
        for optimizer in [Optimizer.sgd(momentum: 0.9), .usualAdamW] {
            let recipe = TrainingRecipe(
                optimizer: optimizer, rate: 0.1, warmup: 2, steps: 9, weightDecay: 0.01, clip: 1)
            let parts = [TrainedWeights.Part(count: 4, decays: true), .init(count: 3, decays: false)]
            var weights = TrainedWeights([1, -2, 3, 4, 5, -6, 7], parts: parts, optimizer: optimizer)
            func gradient(_ step: Int) -> [Float] { (0..<7).map { Float(step * 7 + $0).squareRoot() - 4 } }
            for step in 0..<4 { _ = weights.step(gradient(step), by: recipe) }
            var other = TrainedWeights(
                [Float](repeating: 0, count: 7), parts: parts, optimizer: optimizer)
            try other.restore(weights.checkpoint)
            #expect(other == weights)
            for step in 4..<9 {
                _ = weights.step(gradient(step), by: recipe)
                _ = other.step(gradient(step), by: recipe)
            }
            #expect(other == weights)
            var wrong = TrainedWeights([1], parts: [.init(count: 1, decays: true)], optimizer: optimizer)
            #expect(throws: WorkMismatch.self) { try wrong.restore(weights.checkpoint) }
            #expect(throws: WorkMismatch.self) { try other.restore([1, 2]) }
        }
    }
}
