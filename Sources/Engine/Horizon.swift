internal import ComputationGraph

/// Which edges later passes will differ by from those of today: what they read beyond these is worth keeping.
struct Horizon {
    private var count = -1
    private var states: Set<Mask> = []
    /// Those by which the states of a level differ from each other.
    private var distinguishing: Set<Edge> = []
    /// Those whose removal may lead to a state of the next level.
    private var contending: Set<Edge> = []

    /// The edges, in canonical order.
    private(set) var edges: [Edge] = []

    /// Takes note of a task.
    mutating func meet(_ state: Mask, contenders: [Edge]) {
        if state.count != count { self = Horizon(count: state.count) }
        let isNewState = states.insert(state).inserted
        if isNewState {
            let all = states.map { Set($0.edges) }
            distinguishing = all.reduce(Set()) { $0.union($1) }
                .subtracting(all.dropFirst().reduce(all[0]) { $0.intersection($1) })
        }
        let before = contending.count
        contending.formUnion(contenders)
        if isNewState || contending.count > before { edges = distinguishing.union(contending).sorted() }
    }

    /// Nothing yet.
    init() {}

    private init(count: Int) { self.count = count }
}
