internal import ComputationGraph

/// Which units the masks to come will differ by from those of the stage at hand: what they read beyond these is worth
/// keeping.
struct ReuseFrontier {
    private var states: Set<Mask> = []
    /// Those that any state of the stage removes, and those that all do.
    private var removed: Set<Unit> = []
    private var common: Set<Unit> = []
    /// Those whose removal may lead to a state of the next stage.
    private var hinted: Set<Unit> = []

    /// The units, in canonical order.
    private(set) var units: [Unit] = []

    /// Takes note of a task of the stage.
    mutating func note(_ state: Mask, hints: [Unit]) {
        let isNewState = states.insert(state).inserted
        if isNewState {
            removed.formUnion(state.units)
            if states.count == 1 { common = removed } else { common.formIntersection(state.units) }
        }
        let before = hinted.count
        hinted.formUnion(hints)
        if isNewState || hinted.count > before {
            units = removed.subtracting(common).union(hinted).sorted()
        }
    }
}
