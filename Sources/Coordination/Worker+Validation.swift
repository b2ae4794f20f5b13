extension Worker {
    /// Checks what must hold after every event. Tests call it each time; a run need not.
    ///
    /// - Throws: `InvariantViolation` with every promise that does not hold.
    public func validateState() throws(InvariantViolation) {
        var problems: [String] = []
        let owned = queue.map(\.id) + unacknowledged.ids + (computing.map { [$0.order.id] } ?? [])
        if phase != .stopped, Set(owned).count != owned.count { problems.append("a task is there twice") }
        if queue.count > Self.longestQueue || unacknowledged.count > KeptAnswers.limit {
            problems.append("\(queue.count) tasks and \(unacknowledged.count) answers are kept")
        }
        if phase != .ready && !queue.isEmpty {
            problems.append("tasks are queued while the worker is \(phase)")
        }
        if phase == .ready && !isLoaded { problems.append("the worker is ready and nothing is loaded") }
        if phase == .ready && computing == nil && !queue.isEmpty {
            problems.append("tasks wait and none is computed")
        }
        guard problems.isEmpty else { throw InvariantViolation(problems: problems) }
    }
}
