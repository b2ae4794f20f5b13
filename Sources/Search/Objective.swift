/// What the search makes small.
public enum Objective: String, Sendable, Hashable, CaseIterable, Codable {
    /// |L′ − L|: the loss should move as little as possible, in either direction.
    case absolute
    /// L′ − L: the loss should rise as little, or fall as far, as possible.
    case signed

    /// The value of a state with the given loss.
    ///
    /// - Returns: infinity for a loss that is no number.
    public func value(loss: Double, base: Double) -> Double {
        guard loss.isFinite else { return .infinity }
        switch self {
        case .absolute: return (loss - base).magnitude
        case .signed: return loss - base
        }
    }

    /// The smallest value that a state can have whose loss is at least `loss`.
    ///
    /// Exact in floating point: subtraction and magnitude round monotonically, so the bound never exceeds the value
    /// of a larger loss.
    public func bound(lossAtLeast loss: Double, base: Double) -> Double {
        guard loss.isFinite else { return .infinity }
        switch self {
        case .absolute: return max(0, loss - base)
        case .signed: return loss - base
        }
    }
}
