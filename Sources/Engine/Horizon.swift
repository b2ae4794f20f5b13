internal import ComputationGraph

/// Which units later passes will differ by from those of today: what they read beyond these is worth keeping.
struct Horizon {
    private var count = -1
    private var states: Set<Mask> = []
    /// Those that any state of a level removes, and those that all do.
    private var removed: Set<Unit> = []
    private var common: Set<Unit> = []
    /// Those whose removal may lead to a state of the next level.
    private var contending: Set<Unit> = []

    /// The units, in canonical order.
    private(set) var units: [Unit] = []

    /// Takes note of a task.
    mutating func meet(_ state: Mask, contenders: [Unit]) {
        if state.count != count { self = Horizon(count: state.count) }
        let isNewState = states.insert(state).inserted
        if isNewState {
            removed.formUnion(state.units)
            if states.count == 1 { common = removed } else { common.formIntersection(state.units) }
        }
        let before = contending.count
        contending.formUnion(contenders)
        if isNewState || contending.count > before {
            units = removed.subtracting(common).union(contending).sorted()
        }
    }

    /// Nothing yet.
    init() {}

    private init(count: Int) { self.count = count }
}
