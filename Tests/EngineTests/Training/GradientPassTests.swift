import ComputationGraph
import Datasets
import Testing
import Torch
import Training

@testable import Engine

@Suite("A training's gradient")
struct GradientPassTests {
    /// Parts add up to the whole, and along itself the gradient is the slope of the loss.
    @Test("adds up, and is the slope of the loss under masks", arguments: ModelFixture.names)
    func slope(model: String) throws {
        let fixture = try ModelFixture(model)
        var generator = Seeded(11)
        let mask = fixture.randomMask(2, using: &generator)
        let chosen = try fixture.graph.trainableParameters(under: mask)
        let values = chosen.map(\.value)
        let elements = try fixture.network.elements(of: values)
        let loss = try LossDescription(.natural(for: fixture.dataset), of: fixture.graph)
        let pass = try GradientPass(
            TrainingSubject(
                mask: mask, values: values, elements: elements.count, objective: TrainingObjective()),
            fixture.network, fixture.dataset, loss, means: Means())
        try pass.use([0]) { elements }
        let whole = try pass.sum(places: [0, 1, 2, 3], samples: [0, 1, 2, 3], step: 0)
        let parts =
            try pass.sum(places: [0, 1], samples: [0, 1], step: 0)
            + pass.sum(places: [2, 3], samples: [2, 3], step: 0)
        let norm = whole.gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(norm > 0)
        let apart = zip(whole.gradient, parts.gradient).reduce(0.0) {
            $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
        }.squareRoot()
        #expect(apart <= 1e-4 * norm)
        #expect(abs(whole.loss - parts.loss) <= 1e-4 * whole.loss)

        func moved(_ step: Double, _ name: UInt8) throws -> Double {
            try pass.use([name]) {
                zip(elements, whole.gradient).map { $0 + Float(step * Double($1) / norm) }
            }
            return try pass.sum(places: [0, 1, 2, 3], samples: [0, 1, 2, 3], step: 0).loss
        }
        // Where the loss bends or single precision is coarse, one step suits better than another.
        let slopes = try [3e-3, 1e-3, 3e-4].enumerated().map { place, step in
            let name = UInt8(2 * place + 1)
            return try (moved(step, name) - moved(-step, name + 1)) / (2 * step)
        }
        let nearest = slopes.map { abs($0 - norm) }.min() ?? .infinity
        #expect(nearest <= 0.02 * norm, "\(slopes) in place of \(norm)")
    }
}
