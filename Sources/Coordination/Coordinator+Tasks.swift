internal import OrderedCollections
internal import Work

/// Tasks are handed out, and handed out again.
extension Coordinator {
    /// Gives every worker work up to its credit; those that have least come first.
    mutating func dispatch(at now: Instant) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for load in 0..<settings.credit where load == 0 || mayPrefetch {
            for connection in peers.open(with: load) {
                guard let peer = peers[connection], (peer.restsUntil ?? now) <= now,
                    let task = nextTask(for: connection, peer, at: now)
                else { continue }
                actions += lease(task, to: connection, at: now)
            }
        }
        return actions
    }

    /// Whether choosing tasks ahead costs less than workers that wait.
    private var mayPrefetch: Bool {
        guard let source, let items = source.independentItems, let limit = settings.prefetchLimit else {
            return true
        }
        if items >= Self.fewestItemsAhead * readyCount { return true }
        return cost.expected(source.smallestCost).map { $0 < limit } ?? false
    }

    /// With so many independent items for each worker, one chosen ahead is one of many, and hardly ever in vain.
    private static let fewestItemsAhead = 4

    /// The most leases of one task at once.
    private static let largestCopyCount = 4

    private mutating func nextTask(for connection: ConnectionID, _ peer: Peer, at now: Instant) -> TaskID? {
        func mayHave(_ flight: InFlightItem) -> Bool {
            !flight.isCancelled && flight.leases.count < Self.largestCopyCount
                && (flight.item.shard.map(peer.shards.contains) ?? true)
                && !flight.leases.contains { $0.connection == connection }
        }
        // Mostly nothing is overdue; then the flights need not be looked through.
        if let earliestDeadline, earliestDeadline < now {
            if let overdue = flights.first(where: { _, flight in
                mayHave(flight) && flight.leases.allSatisfy { $0.deadline < now }
            }) {
                probes.reach(.overdueTaskGoesToAnotherWorker)
                return overdue.key
            }
            self.earliestDeadline = flights.values.compactMap { $0.leases.map(\.deadline).max() }.min()
        }
        let (locality, peers) = (locality, peers)
        let worker = WorkerView(
            sharing: readyCount, holds: { peer.shards.contains($0) },
            prefers: { key in locality[key].map { $0 == connection || peers[$0] == nil } ?? true })
        if let item = source?.next(for: worker) {
            let id = newTaskID()
            flights[id] = InFlightItem(item: item)
            return id
        }
        guard peer.outstanding.isEmpty else { return nil }
        return copyToRace(mayHave: mayHave, at: now)
    }

    /// The end of a source: a task that an idle worker may finish sooner than the one that has it.
    private mutating func copyToRace(mayHave: (InFlightItem) -> Bool, at now: Instant) -> TaskID? {
        let single = flights.filter { mayHave($0.value) && $0.value.leases.count == 1 }
        // Tasks that still wait behind another one at their worker first, then the one that has run longest.
        let waiting = single.first { id, flight in
            guard let owner = flight.leases.first.flatMap({ peers[$0.connection] }) else { return false }
            return owner.outstanding.first?.task != id
        }
        if let waiting {
            probes.reach(.waitingTaskIsCopied)
            return waiting.key
        }
        let slow = single.filter { _, flight in
            guard let expected = cost.expected(flight.item.cost),
                let since = flight.leases.first?.handedOut
            else { return false }
            return now - since > .clamped(seconds: expected.inSeconds * settings.speculationFactor)
        }
        let slowest = slow.min { left, right in
            (left.value.leases[0].handedOut, left.key) < (right.value.leases[0].handedOut, right.key)
        }
        if slowest != nil { probes.reach(.slowTaskIsCopied) }
        return slowest?.key
    }

    private mutating func lease(_ task: TaskID, to connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        guard var flight = flights[task] else { return [] }
        var actions: [CoordinatorAction] = []
        if let last = flight.leases.last, last.deadline < now {
            let owner = peers[last.connection]?.name(last.connection) ?? "\(last.connection)"
            // On a busy machine that happens all the time, and harms nobody.
            actions.append(.log(.info, "\(task) is overdue on \(owner), and goes to another worker too"))
        }
        flight.attempts += 1
        let id = AttemptID(task, flight.attempts)
        flight.holders[flight.attempts] = peers[connection]?.hello?.identity
        let duration = leaseDuration(of: flight.item, behind: peers[connection]?.outstanding ?? [])
        flight.leases.append(
            Lease(attempt: id.attempt, connection: connection, handedOut: now, deadline: now + duration))
        flights[task] = flight
        earliestDeadline = min(earliestDeadline ?? now + duration, now + duration)
        let limit = now + patience(with: duration)
        peers.update(connection) { peer in
            if peer.answerBy == nil { peer.answerBy = limit }
            peer.outstanding.append(id)
        }
        locality[flight.item.locality] = connection
        let order = WorkOrder(
            id: id, key: flight.item.key, hints: flight.item.hints, contents: flight.item.contents,
            deadline: duration)
        return actions + [.send(.task(order), to: connection)]
    }

    func leaseDuration(of item: WorkItem, behind others: [AttemptID]) -> Duration {
        let costs =
            [item.cost] + others.map { flights[$0.task]?.item.cost ?? source?.smallestCost ?? item.cost }
        let expected = costs.map { cost.expected($0) }
        guard !expected.contains(nil) else { return settings.firstLease }
        let seconds = expected.reduce(0) { $0 + ($1?.inSeconds ?? 0) }
        return .clamped(seconds: seconds * settings.leaseFactor) + settings.leaseFloor
    }
}
