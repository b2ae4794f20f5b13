internal import OrderedCollections
internal import Work

/// What workers answer: results, failures, and leases that end.
extension Coordinator {
    mutating func take(_ result: TaskResult, from connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        // What an earlier coordinator asked for comes again, as a handover; acknowledged here it would be lost.
        guard settings.run.numbers(result.id.task) else {
            probes.reach(.resultIsAnothersTask)
            return []
        }
        let acknowledgement = CoordinatorAction.send(.acknowledged(result.id), to: connection)
        quiet.end(at: now)
        guard let flight = flights[result.id.task] ?? lapsed[result.id.task], source != nil else {
            // Late, or a copy: the work is known.
            probes.reach(.lateResultIsKnown)
            endLease(result.id, of: connection, at: now)
            return [acknowledgement]
        }
        let item = flight.item
        guard let holder = flight.holders[result.id.attempt], holder == peers[connection]?.hello?.identity
        else {
            return refuse(connection, because: "\(result.id) was not given to it, and it answers it", at: now)
        }
        do throws(WorkMismatch) { try source?.check(result.result, of: item) } catch {
            return refuse(connection, because: "its result of \(result.id.task) \(error)", at: now)
        }
        let copies = flights[result.id.task]?.leases.filter { $0.attempt != result.id.attempt } ?? []
        // A worker may have waited before it computed, but it cannot have computed for longer than since it was asked.
        if let lease = flight.leases.first(where: { $0.attempt == result.id.attempt }) {
            let longest = (now - lease.handedOut + settings.leaseFloor).inSeconds
            cost.fold(seconds: min(result.seconds, longest), of: item.cost)
        }
        if !copies.isEmpty { probes.reach(.taskIsAnsweredTwice) }
        let wasLapsed = flights.removeValue(forKey: result.id.task) == nil
        if wasLapsed { probes.reach(.lateResultCounts) }
        lapsed[result.id.task] = nil
        endLease(result.id, of: connection, at: now)
        // What was given back may have been handed out since in other company.
        let others = wasLapsed ? withdraw(item) : []
        let hasMadeNeedless = self.source?.fold(item, result.result) ?? false
        peers.update(connection) { $0.computed += 1 }
        return noteNumerics(of: connection)
            + [.journal(WorkRecord(key: item.key, result: result.result)), acknowledgement]
            + copies.map { .send(.cancel(result.id.task), to: $0.connection) } + others
            + (hasMadeNeedless ? cancelNeedless() : [])
    }

    /// Tells the workers that have a task whose result cannot matter any more: one that is queued goes, one that is
    /// being computed is finished.
    private mutating func cancelNeedless() -> [CoordinatorAction] {
        guard let source else { return [] }
        var actions: [CoordinatorAction] = []
        for (id, flight) in flights where !flight.isCancelled && !source.needs(flight.item) {
            probes.reach(.taskIsCancelled)
            flights[id]?.isCancelled = true
            actions += flight.leases.map { .send(.cancel(id), to: $0.connection) }
        }
        return actions
    }

    mutating func take(_ failure: TaskFailure, from connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        var actions: [CoordinatorAction] = [.send(.acknowledged(failure.id), to: connection)]
        quiet.end(at: now)
        let wasLeased = flights[failure.id.task]?.leases.contains { $0.connection == connection } ?? false
        let item = flights[failure.id.task]?.item
        endLease(failure.id, of: connection, at: now)
        guard wasLeased, let item, let source else { return actions }
        probes.reach(.taskFails)
        let name = peers[connection]?.name(connection) ?? "\(connection)"
        actions.append(.log(.warning, "\(failure.id.task) failed on \(name): \(failure.reason)"))
        if failure.isPermanent {
            return actions
                + fail(.taskFailed(work: source.describe(item, pieces: item.pieces), reason: failure.reason))
        }
        let rest = now + settings.restAfterFailure
        peers.update(connection) { $0.restsUntil = rest }
        return actions + noteFailure(of: item, vanished: nil, reason: failure.reason)
    }

    /// An attempt is over. When no one else has the task, its work goes back to the source.
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
