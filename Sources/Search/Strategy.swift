public import ComputationGraph

/// How the space of masks is searched.
public enum Strategy: Sendable, Hashable, Codable, LosslessStringConvertible {
    /// The best expansion of the best state, step by step.
    case greedy
    /// The best expansions of the `width` best states, step by step.
    case beam(width: Int)
    /// Every mask, level by level: for small graphs.
    case exhaustive
    /// A random expansion at each step, measured: a baseline.
    case random(seed: UInt64)
    /// One shot: units go in an order that was fixed beforehand, by a surrogate; those that may not go any more are
    /// passed over.
    case ranked(name: String, units: [Unit])

    /// The states that a beam search keeps per level unless told.
    public static let usualWidth = 4

    /// Reads `greedy`, `beam`, `beam:K`, `exhaustive`, `random` or `random:SEED`.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        switch (parts[0], parts.count) {
        case ("greedy", 1): self = .greedy
        case ("exhaustive", 1): self = .exhaustive
        case ("random", 1): self = .random(seed: 0)
        case ("random", 2):
            guard let seed = UInt64(parts[1]) else { return nil }
            self = .random(seed: seed)
        case ("beam", 1): self = .beam(width: Strategy.usualWidth)
        case ("beam", 2):
            guard let width = Int(parts[1]), width >= 1 else { return nil }
            self = .beam(width: width)
        default: return nil
        }
    }

    /// The text form, which the initialiser reads; a ranking's is its name.
    public var description: String {
        switch self {
        case .greedy: "greedy"
        case .beam(let width): "beam:\(width)"
        case .exhaustive: "exhaustive"
        case .random(let seed): "random:\(seed)"
        case .ranked(let name, _): name
        }
    }

    /// How many states of a level are kept for expansion.
    var width: Int {
        switch self {
        case .greedy, .random, .ranked: 1
        case .beam(let width): width
        case .exhaustive: .max
        }
    }
}

/// A share of the full model's cost that pruning is to reach.
public struct Budget: Sendable, Hashable, Codable, LosslessStringConvertible {
    /// What is counted.
    public enum Quantity: String, Sendable, Codable { case parameters, flops }
    /// What is to be reached a share of.
    public let quantity: Quantity
    /// The share of the full model's, between 0 and 1.
    public let fraction: Double

    /// Reads `parameters=0.5`, `flops=0.5` or `flops=50%`.
    public init?(_ description: String) {
        let parts = description.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let quantity = Quantity(rawValue: String(parts[0])),
            let fraction = parts[1].hasSuffix("%")
                ? Double(parts[1].dropLast()).map({ $0 / 100 }) : Double(parts[1]),
            fraction >= 0, fraction < 1
        else { return nil }
        self.quantity = quantity
        self.fraction = fraction
    }

    /// The text form, which the initialiser reads.
    public var description: String { "\(quantity.rawValue)=\(fraction)" }

    /// Whether `cost` is within the budget, given the full model's.
    public func isMet(by cost: Cost, base: Cost) -> Bool {
        switch quantity {
        case .parameters: Double(cost.parameters) <= fraction * Double(base.parameters)
        case .flops: Double(cost.flops) <= fraction * Double(base.flops)
        }
    }
}

/// What a search is asked to do. With the model and the data, it decides the result to the last bit.
public struct SearchSettings: Sendable, Hashable, Codable {
    /// How masks are searched.
    public var strategy: Strategy
    /// What is made small.
    public var objective: Objective
    /// The most removals; `nil` for as many as there are.
    public var steps: Int?
    /// Stop once this is reached.
    public var until: Budget?
    /// Stop before the loss rises by more than this.
    public var maximumLossIncrease: Double?
    /// Take no state whose share of correct predictions lies more than this below the unpruned model's.
    public var maximumAccuracyDrop: Double?
    /// Whether hopeless expansions are dropped early. The result is the same either way.
    public var usesBounds: Bool
    /// Which expansions are measured at all; `nil` for all of them, so that the result is exact.
    public var screening: Screening?
    /// What changes are divided by the saving of; `nil` where they are compared as they are.
    public var per: Budget.Quantity?
    /// What refits the weights before an expansion is measured; `nil` for nothing.
    public var recovery: Recovery?
    /// How many of the best expansions may be removed in one step, where they do not interact; `nil` for one.
    public var stepRemovals: Int?
    /// The same as a number.
    var removalsPerStep: Int { strategy == .greedy ? stepRemovals ?? 1 : 1 }

    /// Settings of a search; greedy on the absolute change unless told otherwise.
    public init(
        strategy: Strategy = .greedy, objective: Objective = .absolute, steps: Int? = nil,
        until: Budget? = nil,
        maximumLossIncrease: Double? = nil, maximumAccuracyDrop: Double? = nil, usesBounds: Bool = true,
        screening: Screening? = nil, per: Budget.Quantity? = nil, recovery: Recovery = .none
    ) {
        self.strategy = strategy
        self.objective = objective
        self.steps = steps
        self.until = until
        self.maximumLossIncrease = maximumLossIncrease
        self.maximumAccuracyDrop = maximumAccuracyDrop
        self.usesBounds = usesBounds
        self.screening = screening
        self.per = per
        self.recovery = recovery.isNone ? nil : recovery
    }
}
