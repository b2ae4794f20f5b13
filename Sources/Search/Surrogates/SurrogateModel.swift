public import ComputationGraph

/// Predicts the loss change of removing a set of units from Taylor terms and the exact results known so far.
///
/// With gate gradients g and the gate Hessian H, removing S changes the loss by ΔL(S) ≈ −Σ g_e + ½ ΣΣ H_ef (the
/// second-order expansion at z = 1 with Δz = −1 on S). The diagonal part −g_e + ½ H_ee is a guess at the exact change
/// of e alone; once that is known it takes the guess's place, and
///
///     ΔL(S) ≈ Σ exact_e + α · Σ_{e<f} H_ef
///
/// where α says how far the cross terms at the full model can be trusted at the distance of whole removals. It is
/// fitted to the exact changes of sets as they return, by least squares with a prior at 1.
///
/// ```swift
/// var model = SurrogateModel(units: [a, b], gradients: [0.2, 0.1], hessian: [[0.1, 0.3], [0.3, 0]])
/// model.observe(Mask([a]), change: -0.14)
/// model.predict(Mask([a, b]))  // −0.14 − 0.1 + 1 · 0.3
/// ```
public struct SurrogateModel: Sendable {
    /// The units that it knows, in the order of `gradients` and `hessian`.
    public let units: [Unit]
    /// ∂L/∂z_e; NaN where it is not known: such a unit is predicted once it has been measured.
    public let gradients: [Double]
    /// ∂²L/∂z_e∂z_f.
    public let hessian: [[Double]]
    /// The exact change of each unit alone, as far as known.
    public private(set) var exactSingles: [Unit: Double]
    /// The factor of the cross terms.
    public private(set) var alpha = 1.0

    private let index: [Unit: Int]
    /// What removing a unit likely changed where it was tried last.
    private var latest: [Unit: (state: Mask, change: Double)] = [:]
    private let priorWeight: Double
    /// Sets of two and more whose exact change is known, once each.
    private var observations: [Mask: Double] = [:]
    /// The order in which they came, so that sums are the same every time.
    private var observed: [Mask] = []

    /// - Parameters:
    ///   - units: candidates, without repetition.
    ///   - gradients: one number per unit; NaN where it is not known.
    ///   - hessian: symmetric, one row and column per unit; all 0 makes the model first-order.
    ///   - exactSingles: exact changes of single units that are known already.
    public init(
        units: [Unit], gradients: [Double], hessian: [[Double]], exactSingles: [Unit: Double] = [:]
    ) {
        precondition(
            gradients.count == units.count && hessian.count == units.count, "a number for every unit")
        self.units = units
        self.gradients = gradients
        self.hessian = hessian
        self.exactSingles = exactSingles.filter { $0.value.isFinite }
        index = Dictionary(uniqueKeysWithValues: units.enumerated().map { ($1, $0) })
        // The prior counts as one observation of a typical pair, so that a set whose cross terms nearly cancel
        // cannot throw α far off.
        var square = 0.0
        for row in units.indices {
            for column in 0..<row { square += hessian[row][column] * hessian[row][column] }
        }
        priorWeight = units.count < 2 ? 0 : square / Double(units.count * (units.count - 1) / 2)
    }

    /// A model that knows nothing yet but what it will be told.
    public init(units: [Unit]) {
        let zeros = units.map { _ in 0.0 }
        self.init(units: units, gradients: zeros.map { _ in .nan }, hessian: units.map { _ in zeros })
    }

    /// Takes in what removing a unit from a state changed, or likely would have: predictions for other states start
    /// from there.
    ///
    /// - Parameter change: the loss without the unit minus the state's; ignored unless finite.
    public mutating func expect(removing unit: Unit, from state: Mask, toChange change: Double) {
        if change.isFinite, index[unit] != nil { latest[unit] = (state, change) }
    }

    /// Takes in an exact result.
    ///
    /// - Parameters:
    ///   - set: the removed units; sets with a unit that the model does not know are ignored.
    ///   - change: L′ − L; ignored unless finite.
    public mutating func observe(_ set: Mask, change: Double) {
        guard change.isFinite, !set.isEmpty, set.units.allSatisfy({ index[$0] != nil }) else { return }
        if set.count == 1 {
            exactSingles[set.units[0]] = change
        } else if observations.updateValue(change, forKey: set) == nil {
            observed.append(set)
        }
        fit()
    }

    /// The predicted L′ − L of removing `set`; `nil` when nothing is known of one of its units.
    public func predict(_ set: Mask) -> Double? {
        guard let positions = positions(of: set) else { return nil }
        let predicted = singles(positions) + alpha * crossTerms(positions)
        return predicted.isFinite ? predicted : nil
    }

    /// The predicted L′ − L of removing one more unit from a state whose own change is known exactly.
    ///
    /// - Parameters:
    ///   - parent: the state's mask.
    ///   - change: the state's exact L′ − L.
    /// - Returns: change + single(unit) + α Σ H_ef over f in the mask; where the unit was tried before, change + what it
    ///   likely changed there + α times the difference of the cross terms. `nil` for a unit of which nothing is known.
    public func predict(removing unit: Unit, from parent: Mask, change: Double) -> Double? {
        guard let added = index[unit], let positions = positions(of: parent), !parent.contains(unit) else {
            return nil
        }
        func cross(_ positions: [Int]) -> Double { positions.reduce(0) { $0 + hessian[added][$1] } }
        let predicted =
            if let (state, known) = latest[unit], let before = self.positions(of: state) {
                change + known + alpha * (cross(positions) - cross(before))
            } else { change + singles([added]) + alpha * cross(positions) }
        return predicted.isFinite ? predicted : nil
    }

    /// The predicted change of one unit alone: exact where known, −g + ½H otherwise; `nil` for an unknown unit.
    public func predict(_ unit: Unit) -> Double? {
        index[unit].map { singles([$0]) }.flatMap { $0.isFinite ? $0 : nil }
    }

    private func positions(of set: Mask) -> [Int]? {
        let positions = set.units.compactMap { index[$0] }
        return positions.count == set.count ? positions : nil
    }

    private func singles(_ positions: [Int]) -> Double {
        positions.reduce(0) { $0 + (exactSingles[units[$1]] ?? hessian[$1][$1] / 2 - gradients[$1]) }
    }

    private func crossTerms(_ positions: [Int]) -> Double {
        var sum = 0.0
        for (place, row) in positions.enumerated() {
            for column in positions[..<place] { sum += hessian[row][column] }
        }
        return sum
    }

    /// α = (λ + Σ C·r) / (λ + Σ C²), with C the cross terms of an observed set, r its exact change without the singles'
    /// and λ the prior's weight: the minimum of Σ (r − αC)² + λ (α − 1)².
    private mutating func fit() {
        var (numerator, denominator) = (priorWeight, priorWeight)
        for set in observed {
            guard let change = observations[set], let positions = positions(of: set) else { continue }
            let (cross, rest) = (crossTerms(positions), change - singles(positions))
            guard rest.isFinite else { continue }
            numerator += cross * rest
            denominator += cross * cross
        }
        alpha = denominator > 0 ? numerator / denominator : 1
    }
}
