import Testing
import Torch

@testable import Engine

@Suite("Regressions")
struct RegressionTests {
    /// Rows of which the first are fitted and the others held out.
    private func selection(_ count: Int, heldOut: Int = 0, weights: [Double]? = nil) throws -> RowSelection {
        RowSelection(
            indices: try Tensor((0..<count).map { $0 }), fitted: count - heldOut,
            weights: try weights.map { try Tensor($0, shape: [count, 1]) })
    }

    /// A regression of one group from weights of 0: rows of features, the last of which is 1, and what is wanted.
    private func regression(
        _ features: [[Double]], _ missing: [Double], heldOut: Int = 0, weights: [Double]? = nil
    ) throws -> RidgeRegression {
        var regression = RidgeRegression(
            present: try Tensor(
                [Double](repeating: 0, count: features[0].count), shape: [1, features[0].count, 1]))
        try regression.add(
            Tensor(features.flatMap { $0 }, shape: [1, features.count, features[0].count]),
            Tensor(missing, shape: [1, missing.count, 1]),
            selection(missing.count, heldOut: heldOut, weights: weights))
        return regression
    }

    private func change(_ regression: RidgeRegression, ridge: Double?) throws -> [Double] {
        try #require(try regression.solution(ridge: ridge)).change.elements(as: Double.self)
    }

    private func expectClose(_ found: [Double], _ expected: [Double]) {
        #expect(found.count == expected.count)
        for (left, right) in zip(found, expected) {
            #expect(abs(left - right) <= 1e-9 * max(1, abs(right)), "\(found), not \(expected)")
        }
    }

    private static let line = [[1.0, 1], [2, 1], [3, 1]]

    /// r = 2x + 1 at 1, 2, 3: XᵀX = [14 6; 6 3], Xᵀr = [34; 15]. Its mean diagonal is 8.5, so a strength of 0.1 adds 0.85:
    /// [14.85 6; 6 3.85]⁻¹ has the determinant 21.1725.
    @Test("by ridge give the closed form")
    func closedForm() throws {
        let regression = try regression(Self.line, [3, 5, 7])
        #expect(regression.rows == 3)
        expectClose(try change(regression, ridge: 0), [2, 1])
        expectClose(
            try change(regression, ridge: 0.1),
            [(34 * 3.85 - 6 * 15) / 21.1725, (14.85 * 15 - 6 * 34) / 21.1725])
        // What has no end holds the weights where they are.
        for number in try change(regression, ridge: 1e12) { #expect(abs(number) < 1e-9) }
    }

    @Test("count a row that weighs twice like two rows, and one that weighs nothing not at all")
    func weights() throws {
        let weighted = try regression(
            Self.line + [[9, 1]], [3, 4, 8, 100], weights: [2, 1, 1, 0])
        let repeated = try regression([[1, 1]] + Self.line, [3, 3, 4, 8])
        for ridge in [0, 0.1] {
            expectClose(try change(weighted, ridge: ridge), try change(repeated, ridge: ridge))
        }
    }

    @Test("of blocks are those of all rows, and those of groups are each group's own")
    func blocksAndGroups() throws {
        var parts = try regression([Self.line[0]], [3])
        try parts.add(
            Tensor([2.0, 1, 3, 1], shape: [1, 2, 2]), Tensor([5.0, 7], shape: [1, 2, 1]), selection(2))
        expectClose(try change(parts, ridge: 0.1), try change(regression(Self.line, [3, 5, 7]), ridge: 0.1))
        var groups = RidgeRegression(present: try Tensor([Double](repeating: 0, count: 4), shape: [2, 2, 1]))
        try groups.add(
            Tensor([1.0, 1, 2, 1, 3, 1, 1, 1, 2, 1, 4, 1], shape: [2, 3, 2]),
            Tensor([3.0, 5, 7, 0, 1, 5], shape: [2, 3, 1]), selection(3))
        expectClose(
            try change(groups, ridge: 0.1),
            try change(regression(Self.line, [3, 5, 7]), ridge: 0.1)
                + change(regression([[1, 1], [2, 1], [4, 1]], [0, 1, 5]), ridge: 0.1))
    }

    @Test("without a ridge leave alone what the rows say nothing of: the smallest change")
    func singular() throws {
        // Equal features share the slope 2 evenly.
        expectClose(try change(regression([[1, 1], [2, 2], [3, 3]], [2, 4, 6]), ridge: 0), [1, 1])
        // A feature that is 0 gets no weight, and a constant one shares with the 1 beside it.
        expectClose(try change(regression([[0, 1], [0, 1]], [3, 5]), ridge: 0), [0, 4])
        expectClose(try change(regression([[3, 1], [3, 1]], [5, 5]), ridge: 0), [1.5, 0.5])
        // Fewer rows than features.
        expectClose(try change(regression([[1, 2, 2]], [9]), ridge: 0), [1, 2, 2])
        expectClose(try change(regression([[0, 0]], [0]), ridge: 0.1), [0, 0])
    }

    @Test("that nothing finite is known of change nothing")
    func notFinite() throws {
        #expect(try RidgeRegression(present: Tensor([0.0], shape: [1, 1, 1])).solution(ridge: 0) == nil)
        for number in [Double.nan, .infinity, 1e200] {
            #expect(try regression([[number, 1]], [1]).solution(ridge: 0.1) == nil)
            #expect(try regression([[1, 1], [number, 1]], [1, 1], heldOut: 1).solution(ridge: nil) == nil)
        }
        #expect(try regression([[1, 1]], [.nan]).solution(ridge: 0) == nil)
    }

    /// The same choice by a loop over the strengths: with one feature and the 1, systems of two equations.
    private func chosen(_ fitted: [(x: Double, y: Double)], _ heldOut: [(x: Double, y: Double)]) -> Double? {
        let (count, x, xx, y, xy) = fitted.reduce((0.0, 0.0, 0.0, 0.0, 0.0)) {
            ($0.0 + 1, $0.1 + $1.x, $0.2 + $1.x * $1.x, $0.3 + $1.y, $0.4 + $1.x * $1.y)
        }
        func error(_ strength: Double) -> Double {
            let ridge = strength * (xx + count) / 2
            let determinant = (xx + ridge) * (count + ridge) - x * x
            let slope = (xy * (count + ridge) - x * y) / determinant
            let shift = ((xx + ridge) * y - x * xy) / determinant
            return heldOut.reduce(0) { sum, row in
                let rest = row.y - slope * row.x - shift
                return sum + rest * rest
            }
        }
        let best = RidgeRegression.strengths.min { error($0) < error($1) }
        // Where no strength leaves less than weights of 0 do, nothing is changed.
        return best.flatMap { error($0) < heldOut.reduce(0) { $0 + $1.y * $1.y } ? $0 : nil }
    }

    @Test("choose the strength that leaves the least of the rows held out", arguments: 0..<30)
    func heldOut(seed: Int) throws {
        var random = Seeded(UInt64(seed))
        let noise = [0, 0.1, 1, 10][seed % 4]
        let rows = (0..<8).map { _ in
            let x = Double.random(in: -2...2, using: &random)
            return (x: x, y: 0.7 * x + 0.2 + noise * Double.random(in: -1...1, using: &random))
        }
        let expected = chosen(Array(rows[..<5]), Array(rows[5...]))
        let regression = try regression(rows.map { [$0.x, 1] }, rows.map(\.y), heldOut: 3)
        let found = try regression.solution(ridge: nil)
        #expect(found?.strength == expected)
        guard let solution = found else { return }
        // What is solved in the end is about all rows.
        expectClose(
            try solution.change.elements(as: Double.self),
            try change(self.regression(rows.map { [$0.x, 1] }, rows.map(\.y)), ridge: expected))
    }

    @Test(
        "fall for no noise: what holds of all rows has the weakest ridge, what holds of none changes nothing")
    func strengths() throws {
        let line = try regression(Self.line + [[4, 1], [5, 1]], [3, 5, 7, 9, 11], heldOut: 2)
        #expect(try #require(try line.solution(ridge: nil)).strength == RidgeRegression.strengths.min())
        let noise = try regression(Self.line + [[4, 1], [5, 1]], [3, 5, 7, -9, -11], heldOut: 2)
        #expect(try noise.solution(ridge: nil) == nil)
        // Without rows held out there is nothing to choose by.
        let all = try regression(Self.line, [3, 5, 7])
        #expect(try #require(try all.solution(ridge: nil)).strength == RidgeRegression.usualStrength)
    }
}

@Suite("Regressions of scale and shift")
struct ChannelRegressionTests {
    private let scale = [2.0, 1, 0]
    private let shift = [1.0, 0, 3]

    private func solution(
        normalised: [[Double]], wanted: [[Double]], heldOut: Int = 0, weights: [Double]? = nil, ridge: Double?
    ) throws -> (scale: [Double], shift: [Double], strength: Double)? {
        let count = normalised.count
        let present = normalised.map { zip($0, zip(scale, shift)).map { $0 * $1.0 + $1.1 } }
        let (scales, shifts) = (try Tensor(scale), try Tensor(shift))
        var regression = ChannelRegression()
        try regression.add(
            present: Tensor(present.flatMap { $0 }, shape: [count, 3]),
            wanted: Tensor(wanted.flatMap { $0 }, shape: [count, 3]), scale: scales, shift: shifts,
            RowSelection(
                indices: Tensor((0..<count).map { $0 }), fitted: count - heldOut,
                weights: weights.map { try Tensor($0, shape: [count, 1]) }))
        guard let found = try regression.solution(scale: scales, shift: shifts, ridge: ridge) else {
            return nil
        }
        return try (
            found.scale.elements(as: Double.self), found.shift.elements(as: Double.self), found.strength
        )
    }

    private func expectClose(_ found: [Double], _ expected: [Double]) {
        for (left, right) in zip(found, expected) {
            #expect(abs(left - right) <= 1e-9 * max(1, abs(right)), "\(found), not \(expected)")
        }
    }

    private static let normalised = [[1.0, -1, 5], [2, 0, 5], [3, 1, 5]]
    private static let wanted = [[4.0, 2, 7], [9, 5, 7], [14, 8, 7]]

    @Test("find both where they can be found, and leave a channel that was multiplied by 0 as it is")
    func exact() throws {
        // 5z − 1, 3z + 5; nothing is known of what the third channel was.
        let found = try #require(try solution(normalised: Self.normalised, wanted: Self.wanted, ridge: 0))
        expectClose(found.scale, [5, 3, 0])
        expectClose(found.shift, [-1, 5, 3])
    }

    /// Of the first channel: Σz² = 14, Σz = 6, n = 3, r = 3z − 2 = 1, 4, 7, Σr = 12, Σzr = 30. A ridge of 0.1 adds
    /// 0.1 · (14 + 3) / 2 = 0.85 to both; the determinant is 14.85 · 3.85 − 36 = 21.1725.
    @Test("by ridge give the closed form")
    func ridge() throws {
        let found = try #require(try solution(normalised: Self.normalised, wanted: Self.wanted, ridge: 0.1))
        expectClose([found.scale[0]], [2 + (30 * 3.85 - 12 * 6) / 21.1725])
        expectClose([found.shift[0]], [1 + (14.85 * 12 - 6 * 30) / 21.1725])
        // Of the second: Σz² = 2, Σz = 0, r = 2z + 5 = 3, 5, 7, Σr = 15, Σzr = 4; the ridge is 0.1 · 5 / 2 = 0.25.
        expectClose([found.scale[1], found.shift[1]], [1 + 4 / 2.25, 15 / 3.25])
    }

    @Test("count rows as they weigh")
    func weights() throws {
        let weighted = try #require(
            try solution(
                normalised: Self.normalised + [[9, 9, 9]],
                wanted: [[4, 2, 7], [0, 0, 0], [1, 1, 1], [5, 5, 5]],
                weights: [1, 2, 1, 0], ridge: 0))
        let repeated = try #require(
            try solution(
                normalised: Self.normalised + [Self.normalised[1]],
                wanted: [[4, 2, 7], [0, 0, 0], [1, 1, 1], [0, 0, 0]], ridge: 0))
        expectClose(weighted.scale, repeated.scale)
        expectClose(weighted.shift, repeated.shift)
    }

    @Test("of a channel that is constant change its shift alone")
    func constant() throws {
        let found = try #require(
            try solution(
                normalised: [[2, 1, 1], [2, 1, 1]], wanted: [[8, 3, 1], [10, 3, 1]], ridge: 0))
        // 2 · 2 + 1 = 5 is there, and 9 wanted on average; 1 and 3.
        expectClose(found.scale, [2, 1, 0])
        expectClose(found.shift, [5, 2, 3])
    }

    @Test("choose the strength by rows held out, and change nothing where numbers are not finite")
    func choice() throws {
        let line = [[4.0, 2, 7], [9, 5, 7], [14, 8, 7], [19, 11, 7]]
        let four = Self.normalised + [[4, 2, 5]]
        #expect(
            try #require(try solution(normalised: four, wanted: line, heldOut: 1, ridge: nil)).strength
                == 1e-4)
        let noise = [[4.0, 2, 7], [9, 5, 7], [14, 8, 7], [-19, -11, 7]]
        #expect(try solution(normalised: four, wanted: noise, heldOut: 1, ridge: nil) == nil)
        #expect(try solution(normalised: [[.nan, 0, 0]], wanted: [[1, 1, 1]], ridge: 0) == nil)
        #expect(try solution(normalised: [[1, 0, 0]], wanted: [[1, .infinity, 1]], ridge: nil) == nil)
        let none = try ChannelRegression().solution(scale: Tensor(scale), shift: Tensor(shift), ridge: 0)
        #expect(none == nil)
    }
}
