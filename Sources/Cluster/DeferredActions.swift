internal import Coordination

/// What the coordinator wants done, and what has to wait while the journal has no room: a result must be on the disk
/// before anything follows from it. In their order; done once there is room.
struct DeferredActions {
    private var actions: [CoordinatorAction] = []
    private var acknowledged: Set<AttemptID> = []

    var isEmpty: Bool { actions.isEmpty }

    /// Keeps an action for later. Workers give their results again and again; one acknowledgement will do.
    mutating func hold(_ action: CoordinatorAction) {
        if case .send(.acknowledged(let id), _) = action, !acknowledged.insert(id).inserted { return }
        actions.append(action)
    }

    /// Does what waits, from the first on, until `perform` throws: what it threw for stays the first.
    mutating func release(_ perform: (CoordinatorAction) throws -> Void) rethrows {
        var done = 0
        defer {
            actions.removeFirst(done)
            if actions.isEmpty { acknowledged = [] }
        }
        for action in actions {
            try perform(action)
            done += 1
        }
    }

    /// Whether an action waits while there is no room. Signs of life and what nobody's result depends on go on.
    static func mustWait(_ action: CoordinatorAction) -> Bool {
        switch action {
        case .log, .report, .serve, .close, .send(.alive, _): false
        case .send, .journal, .note, .finished, .fail: true
        }
    }
}
