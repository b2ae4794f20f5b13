internal import Torch

/// The sums from which a scale and a shift are refitted, channel by channel: Σ (y − a·z − b)² with z what is scaled.
struct ChannelRegression {
    /// Of [C]: Σ w, Σ w·z, Σ w·z², Σ w·r, Σ w·z·r, with r what is missing of the target.
    private typealias Sums = [Tensor]

    private var fitted: Sums?
    private var heldOut: Sums?
    private(set) var rows = 0

    /// Adds rows of a block.
    ///
    /// - Parameters:
    ///   - present: what the layer gives, [n, C].
    ///   - wanted: what it should give, [n, C].
    mutating func add(
        present: Tensor, wanted: Tensor, scale: Tensor, shift: Tensor, _ selection: RowSelection
    ) throws {
        guard selection.count > 0 else { return }
        rows += selection.count
        let now = try present.converted(to: .float64)
        let residual = try wanted.converted(to: .float64) - now
        let factor = try ChannelRegression.divisor(scale)
        let normalised = try (now - shift.converted(to: .float64)) / factor
        let weights = try selection.weights ?? Tensor.filled(1, shape: [selection.count, 1], type: .float64)
        func sums(_ start: Int, _ length: Int) throws -> Sums? {
            guard length > 0 else { return nil }
            let (z, r, w) = (
                try normalised.narrowed(0, from: start, length: length),
                try residual.narrowed(0, from: start, length: length),
                try weights.narrowed(0, from: start, length: length)
            )
            let one = try Tensor.filled(1, shape: z.shape, type: .float64)
            return try [one, z, z * z, r, z * r].map { try ($0 * w).summed(over: [0]) }
        }
        func added(_ left: Sums?, _ right: Sums?) throws -> Sums? {
            guard let left, let right else { return left ?? right }
            return try zip(left, right).map { try $0 + $1 }
        }
        fitted = try added(fitted, sums(0, selection.fitted))
        heldOut = try added(heldOut, sums(selection.fitted, selection.count - selection.fitted))
    }

    /// The scale, with 1 in place of 0: what is multiplied by 0 tells nothing of what it was.
    private static func divisor(_ scale: Tensor) throws -> Tensor {
        let wide = try scale.converted(to: .float64)
        return try equals(.tensor(wide), 0).choosing(
            Tensor.filled(1, shape: wide.shape, type: .float64), else: wide)
    }

    /// The new scale and shift, float64 [C]; `nil` as for `RidgeRegression.solution`.
    func solution(scale: Tensor, shift: Tensor, ridge: Double?) throws
        -> (scale: Tensor, shift: Tensor, strength: Double)?
    {
        guard let all = try Self.total(fitted, heldOut), try all.allSatisfy({ try $0.isFinite() }) else {
            return nil
        }
        guard let strength = try ridge ?? chosenStrength() else { return nil }
        let change = try Self.solve(all, strength: strength)
        let wide = try scale.converted(to: .float64)
        let isZero = try equals(.tensor(wide), 0)
        let none = try Tensor.filled(0, shape: wide.shape, type: .float64)
        return (
            try wide + isZero.choosing(none, else: change.scale),
            try shift.converted(to: .float64) + isZero.choosing(none, else: change.shift), strength
        )
    }

    private static func total(_ left: Sums?, _ right: Sums?) throws -> Sums? {
        guard let left, let right else { return left ?? right }
        return try zip(left, right).map { try $0 + $1 }
    }

    private func chosenStrength() throws -> Double? {
        guard let fitted, let heldOut else { return RidgeRegression.usualStrength }
        var best: (strength: Double?, error: Double) = (nil, 0)
        for strength in RidgeRegression.strengths.reversed() {
            let (a, b) = try Self.solve(fitted, strength: strength)
            let quadratic = try a * a * heldOut[2] + a * b * heldOut[1] * 2 + b * b * heldOut[0]
            let error = try (quadratic - (a * heldOut[4] + b * heldOut[3]) * 2).total()
            if error < best.error { best = (strength, error) }
        }
        return best.strength
    }

    /// The changes of scale and shift, channel by channel.
    private static func solve(_ sums: Sums, strength: Double) throws -> (scale: Tensor, shift: Tensor) {
        let ridge = try (sums[2] + sums[0]) * (strength / 2)
        let (square, count) = (try sums[2] + ridge, try sums[0] + ridge)
        let determinant = try square * count - sums[1] * sums[1]
        let isSingular = try isBelow(.tensor(determinant), .tensor(square * count * 1e-12))
        let divisor = try isSingular.choosing(
            Tensor.filled(1, shape: determinant.shape, type: .float64), else: determinant)
        let none = try Tensor.filled(0, shape: determinant.shape, type: .float64)
        let scale = try isSingular.choosing(none, else: (sums[4] * count - sums[3] * sums[1]) / divisor)
        return (scale, try (sums[3] - scale * sums[1]) / count)
    }
}

private let equals = Operation("aten::eq.Scalar")
private let isBelow = Operation("aten::le.Tensor")
