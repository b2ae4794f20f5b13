import ComputationGraph
import Search
import Testing

@Suite struct SurrogateModelTests {
    let edges = (0..<3).map { Edge(node: $0, slot: 0) }
    let gradients = [0.2, 0.1, -0.3]
    let hessian = [[0.1, 0.3, -0.2], [0.3, 0.4, 0.5], [-0.2, 0.5, 0.6]]

    private func mask(_ indices: Int...) -> Mask { Mask(indices.map { edges[$0] }) }
    private var model: SurrogateModel {
        SurrogateModel(units: edges.map { Unit($0) }, gradients: gradients, hessian: hessian)
    }

    @Test func withoutExactResultsItIsTheSecondOrderExpansion() throws {
        // −Σ g + ½ Δzᵀ H Δz with Δz = −1 on the set: −0.0 + ½ (0.1 + 0.4 + 0.6 + 2 · (0.3 − 0.2 + 0.5)) = 1.15.
        #expect((try #require(model.predict(mask(0, 1, 2))) - 1.15).magnitude < 1e-12)
        // −0.2 + 0.05.
        #expect((try #require(model.predict(Unit(edges[0]))) + 0.15).magnitude < 1e-12)
        #expect(model.predict(.empty) == 0)
        #expect(model.predict(Mask([Edge(node: 9, slot: 0)])) == nil)
    }

    @Test func exactSinglesReplaceTheDiagonal() throws {
        var model = model
        model.observe(mask(0), change: 0.7)
        model.observe(mask(1), change: -0.1)
        // 0.7 − 0.1 + 0.3.
        #expect((try #require(model.predict(mask(0, 1))) - 0.9).magnitude < 1e-12)
        #expect(model.alpha == 1)
    }

    @Test func alphaIsTheRegularisedLeastSquaresFit() {
        var model = model
        for (index, change) in [0.5, 0.25, 0.125].enumerated() { model.observe(mask(index), change: change) }
        model.observe(mask(0, 1), change: 0.5 + 0.25 + 0.6)
        model.observe(mask(1, 2), change: 0.25 + 0.125 + 0.5)
        model.observe(mask(0, 2), change: .infinity)
        // λ = (0.3² + 0.2² + 0.5²) / 3 = 0.38 / 3; Σ C r = 0.3 · 0.6 + 0.5 · 0.5 = 0.43; Σ C² = 0.34.
        let expected = (0.38 / 3 + 0.43) / (0.38 / 3 + 0.34)
        #expect((model.alpha - expected).magnitude < 1e-12)
    }

    @Test func manyObservationsRecoverTheFactorOfTheTruth() {
        // Forty edges; the truth has half of the cross terms.
        let edges = (0..<40).map { Edge(node: $0, slot: 1) }
        let matrix = edges.indices.map { row in
            edges.indices.map { Double((row * 7 + $0 * 7 + row * $0) % 11) / 10 - 0.4 }
        }
        var model = SurrogateModel(
            units: edges.map { Unit($0) }, gradients: edges.map { _ in 0 }, hessian: matrix)
        for edge in edges { model.observe(Mask([edge]), change: 1) }
        for row in edges.indices {
            for column in 0..<row {
                model.observe(Mask([edges[row], edges[column]]), change: 2 + matrix[row][column] / 2)
            }
        }
        #expect((model.alpha - 0.5).magnitude < 0.01)
    }

    @Test func singlesThatComeLateChangeTheFit() {
        var early = model
        var late = model
        early.observe(mask(0), change: 0.5)
        early.observe(mask(0, 1), change: 1)
        late.observe(mask(0, 1), change: 1)
        late.observe(mask(0), change: 0.5)
        #expect(early.alpha == late.alpha)
    }

    @Test func aStateIsExpandedFromItsExactChange() throws {
        var model = model
        model.observe(mask(2), change: 0.1)
        // 0.8 exactly so far, 0.1 alone, cross terms −0.2 + 0.5.
        let found = try #require(model.predict(removing: Unit(edges[2]), from: mask(0, 1), change: 0.8))
        #expect((found - (0.9 + model.alpha * 0.3)).magnitude < 1e-12)
        #expect(model.predict(removing: Unit(edges[0]), from: mask(0, 1), change: 0.8) == nil)
    }
}
