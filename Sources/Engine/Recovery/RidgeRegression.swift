internal import Torch

/// The sums that a layer is refitted from: of products of features with each other, and with the target.
///
/// A layer has one regression per group of channels: X [G, n, d] with a last feature that is 1, Y [G, n, m], and the present
/// weights W [G, d, m]. Wanted is the change Δ that makes |Y − X(W + Δ)|² + λ|Δ|² least. Sums are in double precision, over rows
/// in the order in which they are added.
struct RidgeRegression {
    /// W, float64 [G, d, m].
    private let present: Tensor
    private var fitted: GramSums
    private var heldOut: GramSums
    /// The rows added so far.
    private(set) var rows = 0

    /// The strengths that rows held out of the fit choose from, ascending.
    static let strengths = [1e-4, 1e-3, 1e-2, 1e-1, 1]
    /// The strength that is tried first, and taken where no rows are held out.
    static let usualStrength = 1e-2
    /// Directions of the features with less than this share of the largest one's variance are left alone without a ridge.
    private static let smallestVariance = 1e-12

    /// - Parameter present: the present weights, float64 [G, d, m].
    init(present: Tensor) {
        self.present = present
        (fitted, heldOut) = (GramSums(), GramSums())
    }

    /// Adds rows of a block.
    ///
    /// - Parameters:
    ///   - features: float64 [G, n, d].
    ///   - wanted: float64 [G, n, m].
    ///   - selection: which of the n rows are held out, and what they weigh.
    mutating func add(_ features: Tensor, _ wanted: Tensor, _ selection: RowSelection) throws {
        rows += selection.count
        let (first, rest) = (selection.fitted, selection.count - selection.fitted)
        func part(_ tensor: Tensor, _ axis: Int, _ start: Int, _ length: Int) throws -> Tensor {
            try tensor.narrowed(axis, from: start, length: length)
        }
        func add(_ start: Int, _ length: Int, to sums: inout GramSums) throws {
            guard length > 0 else { return }
            try sums.add(
                part(features, 1, start, length), part(wanted, 1, start, length),
                weights: selection.weights.map { try part($0, 0, start, length) })
        }
        try add(0, first, to: &fitted)
        try add(first, rest, to: &heldOut)
    }

    /// What is added to the weights, float64 [G, d, m].
    struct Solution {
        let change: Tensor
        /// The strength of the ridge.
        let strength: Double
        /// Whether the features do not tell all weights apart: the change is then the smallest of those that fit as well.
        let isSingular: Bool
    }

    /// The solution; `nil` where there are no rows, numbers that are not finite, or no strength that makes the error on the rows
    /// held out smaller.
    ///
    /// - Parameter ridge: the strength, where it is given: then no rows are held out.
    func solution(ridge: Double?) throws -> Solution? {
        let (own, other) = (try fitted.normal(at: present), try heldOut.normal(at: present))
        guard let all = try own.map({ own in try other.map { try own + $0 } ?? own }) ?? other,
            try all.gram.isFinite(), try all.slope.isFinite(),
            let strength = try ridge ?? chosenStrength(own, other)
        else { return nil }
        let (change, _, isSingular) = try Self.solve(all, strength: strength)
        return Solution(change: change, strength: strength, isSingular: isSingular)
    }

    /// The strength whose fit leaves the least of the rows that are held out; `nil` where none leaves less than the present
    /// weights. Looked for from the usual one on, in the direction in which what is left falls there.
    private func chosenStrength(_ own: NormalEquations?, _ other: NormalEquations?) throws -> Double? {
        guard let own, let other else { return Self.usualStrength }
        var place = Self.strengths.firstIndex(of: Self.usualStrength) ?? 0
        let first = try Self.solve(own, strength: Self.usualStrength)
        var least = try other.error(first.change)
        let direction = try first.factor.map { try other.rises(first.change, $0) ? -1 : 1 } ?? 1
        while Self.strengths.indices.contains(place + direction) {
            let next = try Self.solve(own, strength: Self.strengths[place + direction])
            let error = try other.error(next.change)
            guard error < least else { break }
            (place, least) = (place + direction, error)
        }
        return least < 0 ? Self.strengths[place] : nil
    }

    /// (G + λ)⁻¹ B, with λ the strength times the mean of G's diagonal, group by group; the factor of G + λ where it has one.
    private static func solve(_ equations: NormalEquations, strength: Double) throws
        -> (change: Tensor, factor: RidgeFactor?, isSingular: Bool)
    {
        let (gram, slope) = (equations.gram, equations.slope)
        if strength > 0, let factor = try RidgeFactor(gram, strength: strength) {
            return (try factor.solve(slope), factor, false)
        }
        let parts = try eigen.call([.tensor(gram), .string("L")])
        let (variances, directions) = (parts[0], parts[1])
        let largest = try variances.maxima(over: [1], keeping: true)
        let isUsed = try isAbove(.tensor(variances), .tensor(largest * smallestVariance))
        let inverse = try isUsed.choosing(
            Tensor.filled(1, shape: variances.shape, type: .float64) / variances,
            else: Tensor.filled(0, shape: variances.shape, type: .float64))
        let inner = try directions.transposed(1, 2).matrixProduct(slope) * inverse.unsqueezed(2)
        let isSingular = try isUsed.converted(to: .float64).total() < Double(variances.count)
        return (try directions.matrixProduct(inner), nil, isSingular)
    }
}

/// Cholesky's factor of G + λ, group by group.
private struct RidgeFactor {
    /// λ, float64 [G, 1].
    let ridge: Tensor
    private let factor: Tensor

    /// - Parameters:
    ///   - gram: float64 [G, d, d].
    ///   - strength: λ as a share of the mean of the diagonal.
    /// - Returns: `nil` for a matrix that is not positive definite.
    init?(_ gram: Tensor, strength: Double) throws {
        ridge = try diagonal(.tensor(gram), 0, 1, 2).averaged(over: [1], keeping: true) * strength
        let shifted = try clone(.tensor(gram), .none)
        try addInPlace(.tensor(diagonal(.tensor(shifted), 0, 1, 2)), .tensor(ridge), 1)
        let parts = try cholesky.call([.tensor(shifted), false, false])
        guard try parts[1].total() == 0 else { return nil }
        factor = parts[0]
    }

    /// (G + λ)⁻¹ of float64 [G, d, m].
    func solve(_ right: Tensor) throws -> Tensor {
        try choleskySolve(.tensor(right), .tensor(factor), false)
    }
}

/// What a change of the weights is judged by: G = XᵀX, and B = Xᵀ(Y − X·W).
private struct NormalEquations {
    /// Float64 [G, d, d].
    let gram: Tensor
    /// Float64 [G, d, m].
    let slope: Tensor

    static func + (left: NormalEquations, right: NormalEquations) throws -> NormalEquations {
        NormalEquations(gram: try left.gram + right.gram, slope: try left.slope + right.slope)
    }

    /// |Y − X(W + Δ)|² less |Y − X·W|².
    func error(_ change: Tensor) throws -> Double {
        try (change * (gram.matrixProduct(change) - slope * 2)).total()
    }

    /// Whether the error rises with the logarithm of the strength: its derivative is −2 (GΔ − B) · λ(G' + λ)⁻¹ Δ, with
    /// G' + λ what Δ was solved with.
    func rises(_ change: Tensor, _ factor: RidgeFactor) throws -> Bool {
        let gradient = try gram.matrixProduct(change) - slope
        return try (gradient * factor.solve(change * factor.ridge.unsqueezed(2))).total() < 0
    }
}

/// XᵀX and XᵀY, added up over rows.
private struct GramSums {
    /// Float64 [G, d, d], of which the upper half counts.
    private var squares: Tensor?
    /// Float64 [G, d, m].
    private var products: Tensor?

    /// - Parameter weights: what each row counts, float64 [n, 1]; `nil` where all count alike.
    mutating func add(_ rows: Tensor, _ wanted: Tensor, weights: Tensor?) throws {
        let (groups, features, outputs) = (rows.shape[0], rows.shape[2], wanted.shape[2])
        let squares =
            try squares ?? Tensor.filled(0, shape: [groups, features, features], type: .float64)
        let products =
            try products ?? Tensor.filled(0, shape: [groups, features, outputs], type: .float64)
        (self.squares, self.products) = (squares, products)
        try addSquares(.tensor(squares), .tensor(weights.map { try rows * $0.squareRooted() } ?? rows))
        let weighted = try weights.map { try rows * $0 } ?? rows
        try addProduct(.tensor(products), .tensor(weighted.transposed(1, 2)), .tensor(wanted), 1, 1)
    }

    /// The normal equations at some weights; `nil` where there are no rows.
    func normal(at present: Tensor) throws -> NormalEquations? {
        guard let squares, let products else { return nil }
        let gram = try mirrored(.tensor(squares))
        return NormalEquations(gram: gram, slope: try products - gram.matrixProduct(present))
    }
}

extension Tensor {
    /// The sum of all elements of a float64 tensor.
    func total() throws -> Double {
        try sumAll(.tensor(converted(to: .float64)), .none).item(as: Double.self)
    }

    /// Whether every element is a finite number.
    func isFinite() throws -> Bool { try total().isFinite }
}

private let diagonal = Operation("aten::diagonal")
private let clone = Operation("aten::clone")
private let addInPlace = Operation("aten::add_.Tensor")
private let cholesky = Operation("aten::linalg_cholesky_ex")
private let choleskySolve = Operation("aten::cholesky_solve")
private let eigen = Operation("aten::linalg_eigh")
private let isAbove = Operation("aten::gt.Tensor")
private let addProduct = Operation("aten::baddbmm_")
private let addSquares = Operation("espalier::add_squares")
private let mirrored = Operation("espalier::mirrored")
private let sumAll = Operation("aten::sum")
