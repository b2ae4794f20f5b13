public import ComputationGraph

extension SearchProblem {
    /// About the least cost that removals lead to: what remains if everything goes that may.
    ///
    /// Which removals exclude each other depends on their order. Three are tried: what saves most first, the canonical
    /// order, and its reverse.
    ///
    /// - Parameters:
    ///   - quantity: what is to become small.
    ///   - share: the share of the full model's at which it is small enough, and nothing smaller is looked for.
    /// - Returns: the cheapest cost found.
    public func reach(of quantity: Budget.Quantity, downTo share: Double = 0) -> Cost {
        let base = costs.cost(of: .empty)
        let enough = share * Double(base[quantity])
        let alone = candidates.units.map { unit in
            (unit: unit, amount: costs.assessment(of: Mask([unit]))?.cost[quantity] ?? .max)
        }
        let bySaving = alone.enumerated().sorted {
            ($0.element.amount, $0.offset) < ($1.element.amount, $1.offset)
        }.map(\.element.unit)
        var least = base
        for order in [bySaving, candidates.units, candidates.units.reversed()] {
            var mask = Mask.empty
            var cost = base
            for unit in order where Double(cost[quantity]) > enough {
                let liveness = Liveness(of: graph, under: mask)
                let larger = mask.removing(unit)
                guard liveness.isLive[unit.edge.node], Liveness(of: graph, under: larger).isConnected,
                    let assessment = costs.assessment(of: larger), assessment.constantOutputs.isEmpty,
                    assessment.cost[quantity] < cost[quantity]
                else { continue }
                (mask, cost) = (larger, assessment.cost)
            }
            if cost[quantity] < least[quantity] { least = cost }
            if Double(least[quantity]) <= enough { break }
        }
        return least
    }
}
