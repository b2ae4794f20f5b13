public import ComputationGraph

/// What a removal is charged by: its change alone, or its change for what it saves.
///
/// With a price, expansions are ranked in this order:
///
/// 1. those that do not raise the objective, by what they save, most first. Dividing would turn their order round: the
///    more such a removal saves, the nearer to 0 would a negative change come;
/// 2. the others, by the rise for a share of the model saved, least first;
/// 3. what is equal so far by the objective, then by the smaller cost, then in canonical order.
///
/// A greedy search counts rise and saving from the state that it expands. A beam compares states with different
/// histories, so there both are counted from the full model.
///
/// ```swift
/// let price = Price(saving: 0.1, origin: 0.02)
/// price.value(of: 0.05)  // (0.05 − 0.02) / 0.1 = 0.3
/// price.value(of: 0.01)  // −0.1
/// ```
public struct Price: Sendable, Hashable {
    /// The share of the full model's parameters or operations that goes, greater than 0.
    let saving: Double
    /// The objective's value where the rise is counted from.
    let origin: Double

    /// A price for a saving that is greater than 0.
    public init(saving: Double, origin: Double) {
        self.saving = saving
        self.origin = origin
    }

    /// What an expansion with this value of the objective is ranked by.
    ///
    /// Monotone in floating point: subtracting a constant and dividing by a positive one both round monotonically, and the
    /// value of a rise is never below that of a fall. So the value of a bound is a bound of the value.
    func value(of objective: Double) -> Double {
        let rise = objective - origin
        return rise > 0 ? rise / saving : rise.isNaN ? .infinity : -saving
    }
}

extension SearchSettings {
    /// The price of an expansion; `nil` where changes are compared as they are.
    ///
    /// - Parameters:
    ///   - state: the state that is expanded.
    ///   - base: the full model.
    /// - Returns: the price, or `isWorthless` where the expansion saves nothing of what is counted.
    func price(of cost: Cost, expanding state: State, base: State) -> (price: Price?, isWorthless: Bool) {
        guard let quantity = per, strategy.isPriced else { return (nil, false) }
        let whole = Double(max(1, base.cost[quantity]))
        let countsFromState = strategy.width == 1
        let origin = countsFromState ? state : base
        let saving = Double(origin.cost[quantity] - cost[quantity]) / whole
        guard cost[quantity] < state.cost[quantity], saving > 0 else { return (nil, true) }
        return (Price(saving: saving, origin: countsFromState ? state.objective : 0), false)
    }
}

extension Strategy {
    /// Whether the strategy chooses among expansions by their value.
    fileprivate var isPriced: Bool {
        switch self {
        case .greedy, .beam, .exhaustive: true
        case .random, .ranked: false
        }
    }
}

extension Cost {
    /// The amount of one quantity.
    public subscript(quantity: Budget.Quantity) -> Int {
        switch quantity {
        case .parameters: parameters
        case .flops: flops
        }
    }
}
