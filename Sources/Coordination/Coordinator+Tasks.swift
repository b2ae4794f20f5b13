internal import OrderedCollections
internal import Datasets
internal import Search

/// Tasks are handed out, answered, and handed out again.
extension Coordinator {
    // MARK: Handing out

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
        guard usesBounds, let limit = settings.prefetchLimit else { return true }
        return cost.expected(expansions: 1).map { $0 < limit } ?? false
    }

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
            actions.append(.log(.warning, "\(task) is overdue on \(owner), and goes to another worker too"))
        }
        flight.attempts += 1
        let id = AttemptID(task, flight.attempts)
        flight.holders[flight.attempts] = peers[connection]?.hello?.identity
        let duration = leaseDuration(of: flight.task, behind: peers[connection]?.outstanding ?? [])
        flight.leases.append(
            Lease(attempt: id.attempt, connection: connection, handedOut: now, deadline: now + duration))
        flights[task] = flight
        earliestDeadline = min(earliestDeadline ?? now + duration, now + duration)
        if peers[connection]?.answerBy == nil {
            let limit = now + patience(with: duration)
            peers[connection]?.answerBy = limit
        }
        peers[connection]?.outstanding.append(id)
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

    // MARK: Answers

    mutating func take(_ result: TaskResult, from connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        // What an earlier coordinator asked for comes again, as a handover; acknowledged here it would be lost.
        guard settings.run.numbers(result.id.task) else { return [] }
        let acknowledgement = CoordinatorAction.send(.acknowledged(result.id), to: connection)
        guard let flight = flights[result.id.task] ?? lapsed[result.id.task], let level = race?.level.number
        else {
            // Late, or a copy: the work is known.
            endLease(result.id, of: connection, at: now)
            return [acknowledgement]
        }
        let task = flight.task
        guard let holder = flight.holders[result.id.attempt], holder == peers[connection]?.hello?.identity
        else {
            return refuse(connection, because: "\(result.id) was not given to it, and it answers it", at: now)
        }
        guard result.scores.count == task.expansions.count,
            result.scores.allSatisfy({
                $0.losses.count == task.samples.count
                    && ($0.correct.isEmpty || $0.correct.count == task.samples.count)
            })
        else {
            return refuse(connection, because: "its result of \(result.id.task) has a wrong shape", at: now)
        }
        let copies = flights[result.id.task]?.leases.filter { $0.attempt != result.id.attempt } ?? []
        // A worker may have waited before it computed, but it cannot have computed for longer than since it was asked.
        if let lease = flight.leases.first(where: { $0.attempt == result.id.attempt }) {
            let longest = (now - lease.handedOut + settings.leaseFloor).inSeconds
            cost.fold(seconds: min(result.seconds, longest), expansions: task.expansions.count)
        }
        let wasLapsed = flights.removeValue(forKey: result.id.task) == nil
        lapsed[result.id.task] = nil
        endLease(result.id, of: connection, at: now)
        // What was given back may have been handed out since in other company.
        let others = wasLapsed ? withdraw(task) : []
        let dropped = race?.dropCount
        race?.fold(task, result.scores)
        peers[connection]?.computed += 1
        return noteNumerics(of: connection)
            + [.journal(task, result.scores, level: level), acknowledgement]
            + copies.map { .send(.cancel(result.id.task), to: $0.connection) } + others
            + (race?.dropCount == dropped ? [] : cancelNeedless())
    }

    /// Tells the workers that have a task whose expansions were all dropped: one that is queued goes, one that is
    /// being computed is finished.
    private mutating func cancelNeedless() -> [CoordinatorAction] {
        guard let race else { return [] }
        var actions: [CoordinatorAction] = []
        for (id, flight) in flights where !flight.isCancelled && !race.needs(flight.task) {
            flights[id]?.isCancelled = true
            actions += flight.leases.map { .send(.cancel(id), to: $0.connection) }
        }
        return actions
    }

    mutating func take(_ failure: TaskFailure, from connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        var actions: [CoordinatorAction] = [.send(.acknowledged(failure.id), to: connection)]
        let wasLeased = flights[failure.id.task]?.leases.contains { $0.connection == connection } ?? false
        let task = flights[failure.id.task]?.task
        endLease(failure.id, of: connection, at: now)
        guard wasLeased, let task else { return actions }
        let name = peers[connection]?.name(connection) ?? "\(connection)"
        actions.append(.log(.warning, "\(failure.id.task) failed on \(name): \(failure.reason)"))
        if failure.isPermanent {
            return actions
                + fail(
                    .taskFailed(
                        state: task.state, block: task.block, edges: task.edges, reason: failure.reason))
        }
        peers[connection]?.restsUntil = now + settings.restAfterFailure
        return actions + strike(task, vanished: nil, reason: failure.reason)
    }

    /// An attempt is over. When no one else has the task, its work goes back to the race.
    mutating func endLease(_ id: AttemptID, of connection: ConnectionID, at now: Instant) {
        settleDebt(id, of: connection, at: now)
        guard var flight = flights[id.task] else { return }
        flight.leases.removeAll { $0.attempt == id.attempt && $0.connection == connection }
        flights[id.task] = flight
        // The one that is left may be overdue already.
        if let left = flight.leases.map(\.deadline).min(), let known = earliestDeadline {
            earliestDeadline = min(known, left)
        }
        if flight.leases.isEmpty { giveBack(id.task) }
    }
}
