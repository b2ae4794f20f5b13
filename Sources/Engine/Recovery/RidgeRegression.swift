internal import Torch

/// The sums that a layer is refitted from: of products of features with each other, and with what is missing of the target.
///
/// A layer has one regression per group of channels: X [G, n, d] with a last feature that is 1, and R = Y − X·W [G, n, m] with
/// the present weights W. Sums are in double precision, over rows in the order in which they are added.
struct RidgeRegression {
    private struct Sums {
        var gram: Tensor?
        var products: Tensor?

        /// - Parameters:
        ///   - weighted: the features, each row times what it counts.
        ///   - residuals: times what they count, too.
        mutating func add(_ features: Tensor, weighted: Tensor, _ residuals: Tensor) throws {
            let transposed = try features.transposed(1, 2)
            let (gram, products) = (
                try transposed.matrixProduct(weighted), try transposed.matrixProduct(residuals)
            )
            self.gram = try self.gram.map { try $0 + gram } ?? gram
            self.products = try self.products.map { try $0 + products } ?? products
        }
    }

    private var fitted = Sums()
    private var heldOut = Sums()
    /// The rows added so far.
    private(set) var rows = 0

    /// The strengths that rows held out of the fit choose from.
    static let strengths = [1e-4, 1e-3, 1e-2, 1e-1, 1]
    /// The strength where no rows are held out.
    static let usualStrength = 1e-2
    /// Directions of the features with less than this share of the largest one's variance are left alone without a ridge.
    private static let smallestVariance = 1e-12

    /// Adds rows of a block.
    ///
    /// - Parameters:
    ///   - features: float64 [G, n, d].
    ///   - residuals: float64 [G, n, m].
    ///   - selection: which of the n rows are held out, and what they weigh.
    mutating func add(_ features: Tensor, _ residuals: Tensor, _ selection: RowSelection) throws {
        let count = selection.count
        guard count > 0 else { return }
        rows += count
        let weighted = try selection.weights.map { try features * $0 } ?? features
        let scaled = try selection.weights.map { try residuals * $0 } ?? residuals
        func add(_ start: Int, _ length: Int, to sums: inout Sums) throws {
            guard length > 0 else { return }
            try sums.add(
                features.narrowed(1, from: start, length: length),
                weighted: weighted.narrowed(1, from: start, length: length),
                scaled.narrowed(1, from: start, length: length))
        }
        try add(0, selection.fitted, to: &fitted)
        try add(selection.fitted, count - selection.fitted, to: &heldOut)
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
        let all = try Self.sum(fitted, heldOut)
        guard let gram = all.gram, let products = all.products,
            try gram.isFinite(), try products.isFinite()
        else { return nil }
        guard let strength = try ridge ?? chosenStrength() else { return nil }
        let (change, isSingular) = try Self.solve(gram, products, strength: strength)
        return Solution(change: change, strength: strength, isSingular: isSingular)
    }

    private static func sum(_ left: Sums, _ right: Sums) throws -> Sums {
        guard let gram = left.gram, let products = left.products else { return right }
        guard let other = right.gram, let rest = right.products else { return left }
        return Sums(gram: try gram + other, products: try products + rest)
    }

    /// The strength whose fit leaves the least of the rows that are held out; of equal ones the largest. `nil` where none leaves
    /// less than the present weights.
    private func chosenStrength() throws -> Double? {
        guard let gram = fitted.gram, let products = fitted.products, let other = heldOut.gram,
            let rest = heldOut.products
        else { return Self.usualStrength }
        var best: (strength: Double?, error: Double) = (nil, 0)
        for strength in Self.strengths.reversed() {
            let change = try Self.solve(gram, products, strength: strength).change
            // |R − X·Δ|² less |R|², which is the same for all.
            let quadratic = try (change * other.matrixProduct(change)).total()
            let error = try quadratic - 2 * (change * rest).total()
            if error < best.error { best = (strength, error) }
        }
        return best.strength
    }

    /// (G + λ)⁻¹ B, with λ the strength times the mean of G's diagonal, group by group.
    private static func solve(_ gram: Tensor, _ products: Tensor, strength: Double) throws
        -> (change: Tensor, isSingular: Bool)
    {
        let features = gram.shape[2]
        if strength > 0 {
            let diagonal = try diagonal(.tensor(gram), 0, 1, 2)
            let ridge = try diagonal.averaged(over: [1], keeping: true).unsqueezed(2) * strength
            let identity = try eye(.int(features), .type(.float64), .none, .none, .none)
            let factors = try cholesky.call([.tensor(gram + identity * ridge), false, false])
            if try factors[1].total() == 0 {
                return (try choleskySolve(.tensor(products), .tensor(factors[0]), false), false)
            }
        }
        let parts = try eigen.call([.tensor(gram), .string("L")])
        let (variances, directions) = (parts[0], parts[1])
        let largest = try variances.maxima(over: [1], keeping: true)
        let isUsed = try isAbove(.tensor(variances), .tensor(largest * smallestVariance))
        let inverse = try isUsed.choosing(
            Tensor.filled(1, shape: variances.shape, type: .float64) / variances,
            else: Tensor.filled(0, shape: variances.shape, type: .float64))
        let inner = try directions.transposed(1, 2).matrixProduct(products) * inverse.unsqueezed(2)
        let isSingular = try isUsed.converted(to: .float64).total() < Double(variances.count)
        return (try directions.matrixProduct(inner), isSingular)
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
private let eye = Operation("aten::eye")
private let cholesky = Operation("aten::linalg_cholesky_ex")
private let choleskySolve = Operation("aten::cholesky_solve")
private let eigen = Operation("aten::linalg_eigh")
private let isAbove = Operation("aten::gt.Tensor")
private let sumAll = Operation("aten::sum")
