internal import OrderedCollections
internal import Datasets
internal import Search

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
        guard usesBounds, let limit = settings.prefetchLimit, let blocks = race?.blocksPerState else {
            return true
        }
        if blocks >= Self.fewestBlocksAhead * readyCount { return true }
        return cost.expected(expansions: 1).map { $0 < limit } ?? false
    }

    /// With so many blocks of a state for each worker, a task chosen ahead is one of many, and hardly ever in vain.
    private static let fewestBlocksAhead = 4

    /// The most leases of one task at once.
    private static let largestCopyCount = 4

    private mutating func nextTask(for connection: ConnectionID, _ peer: Peer, at now: Instant) -> TaskID? {
        func mayHave(_ flight: Flight) -> Bool {
            !flight.isCancelled && flight.leases.count < Self.largestCopyCount
                && peer.shards.contains(flight.task.block.shard)
                && !flight.leases.contains { $0.connection == connection }
        }
        // Mostly nothing is overdue; then the flights need not be looked through.
        if let earliestDeadline, earliestDeadline < now {
            if let overdue = flights.first(where: { _, flight in
                mayHave(flight) && flight.leases.allSatisfy { $0.deadline < now }
            }) {
                return overdue.key
            }
            self.earliestDeadline = flights.values.compactMap { $0.leases.map(\.deadline).max() }.min()
        }
        let (homes, peers, sharers) = (homes, peers, readyCount)
        let task = race?.nextTask(
            sharing: sharers, admits: { peer.shards.contains($0) },
            suits: { block in
                homes[block].map { $0 == connection || peers[$0] == nil } ?? true
            })
        if let task {
            let id = newTaskID()
            flights[id] = Flight(task: task)
            return id
        }
        guard peer.outstanding.isEmpty else { return nil }
        return copyToRace(mayHave: mayHave, at: now)
    }

    /// The end of a level: a task that an idle worker may finish sooner than the one that has it.
    private func copyToRace(mayHave: (Flight) -> Bool, at now: Instant) -> TaskID? {
        let single = flights.filter { mayHave($0.value) && $0.value.leases.count == 1 }
        // Tasks that still wait behind another one at their worker first, then the one that has run longest.
        let waiting = single.first { id, flight in
            guard let owner = flight.leases.first.flatMap({ peers[$0.connection] }) else { return false }
            return owner.outstanding.first?.task != id
        }
        if let waiting { return waiting.key }
        let slow = single.filter { _, flight in
            guard let expected = cost.expected(expansions: flight.task.expansions.count),
                let since = flight.leases.first?.handedOut
            else { return false }
            return now - since > .clamped(seconds: expected.inSeconds * settings.speculationFactor)
        }
        return slow.min { left, right in
            (left.value.leases[0].handedOut, left.key) < (right.value.leases[0].handedOut, right.key)
        }?.key
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
        let duration = leaseDuration(of: flight.task, behind: peers[connection]?.outstanding ?? [])
        flight.leases.append(
            Lease(attempt: id.attempt, connection: connection, handedOut: now, deadline: now + duration))
        flights[task] = flight
        earliestDeadline = min(earliestDeadline ?? now + duration, now + duration)
        let limit = now + patience(with: duration)
        peers.update(connection) { peer in
            if peer.answerBy == nil { peer.answerBy = limit }
            peer.outstanding.append(id)
        }
        homes[flight.task.block] = connection
        let assignment = Assignment(
            id: id, state: flight.task.state, block: flight.task.block, samples: flight.task.samples,
            edges: flight.task.edges, contenders: flight.task.contenders, deadline: duration)
        return actions + [.send(.task(assignment), to: connection)]
    }

    func leaseDuration(of task: LevelTask, behind others: [AttemptID]) -> Duration {
        let sizes = [task.expansions.count] + others.map { flights[$0.task]?.task.expansions.count ?? 1 }
        let expected = sizes.map { cost.expected(expansions: $0) }
        guard !expected.contains(nil) else { return settings.firstLease }
        let seconds = expected.reduce(0) { $0 + ($1?.inSeconds ?? 0) }
        return .clamped(seconds: seconds * settings.leaseFactor) + settings.leaseFloor
    }
}
