internal import OrderedCollections
internal import Work

/// What was finished for a coordinator that is gone, answers that do not come, and peers that no longer agree.
extension Coordinator {
    // MARK: Handovers

    /// Takes what a worker finished for an earlier coordinator, when it is about the work that is being done: by its key,
    /// on what `RunDescription.needsTheSameFiles` says is the same model and data.
    ///
    /// What belongs to a source that may yet come is not acknowledged: the worker keeps it, and offers it again.
    mutating func take(_ handover: Handover, from connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        let record = WorkRecord(key: handover.key, result: handover.result.result)
        let acknowledgement = CoordinatorAction.send(.acknowledged(handover.result.id), to: connection)
        switch source?.adopt(record) ?? .later {
        case .later:
            probes.reach(.handoverIsForLater)
            return []
        case .none:
            probes.reach(.handoverIsOfNoUse)
            return [acknowledgement]
        case .wrong(let mismatch):
            return refuse(connection, because: "what it hands over \(mismatch)", at: now)
        case .part(let item, let result):
            probes.reach(.handoverCounts)
            let cancellations = withdraw(item)
            if !cancellations.isEmpty { probes.reach(.handoverTakesTasksBack) }
            _ = source?.fold(item, result)
            peers.update(connection) { $0.computed += 1 }
            let name = peers[connection]?.name(connection) ?? "\(connection)"
            let work = source?.describe(item, pieces: item.pieces) ?? ""
            return noteNumerics(of: connection) + [
                .log(.info, "\(name) hands over \(work) computed for an earlier coordinator"),
                .journal(WorkRecord(key: item.key, result: result)), acknowledgement,
            ] + cancellations
        }
    }

    /// Takes back tasks that are about what is known now; what else they are about goes back to the source.
    mutating func withdraw(_ known: WorkItem) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        let pieces = Set(known.pieces)
        for (id, flight) in flights where !pieces.isDisjoint(with: flight.item.pieces) {
            actions += flight.leases.map { .send(.cancel(id), to: $0.connection) }
            giveBack(id)
        }
        return actions
    }

    /// More tasks than late answers can still be expected to.
    static let lapsedLimit = 4096

    /// Nobody holds the task any more: its work goes back to the source. Its result counts all the same, if it comes.
    mutating func giveBack(_ id: TaskID) {
        guard var flight = flights.removeValue(forKey: id) else { return }
        source?.giveBack(flight.item)
        flight.leases = []
        lapsed[id] = flight
        if lapsed.count > Self.lapsedLimit { lapsed.removeFirst() }
    }

    // MARK: Answers that do not come

    /// How long a worker with a lease of this duration may go without answering anything. Longer than a worker waits
    /// for its own computation: it can tell more.
    func patience(with lease: Duration) -> Duration { settings.run.patience(with: lease) * 2 }

    /// An answer came, or none is expected any more: the next one's time begins.
    mutating func settleDebt(_ id: AttemptID, of connection: ConnectionID, at now: Instant) {
        guard let outstanding = peers[connection]?.outstanding, let index = outstanding.firstIndex(of: id)
        else { return }
        let limit = outstanding.first { $0 != id }.map { next in
            let duration = flights[next.task].map { leaseDuration(of: $0.item, behind: []) }
            return now + patience(with: duration ?? settings.leaseFloor)
        }
        peers.update(connection) { peer in
            peer.outstanding.remove(at: index)
            peer.answerBy = limit
        }
    }

    /// Workers that live, and owe an answer for so long that it will not come: the task or the answer was lost, or
    /// the computation never ends. What they have goes to others; they are asked to introduce themselves anew.
    mutating func giveUpTheStuck(at now: Instant) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for (connection, peer) in peers where peer.answerBy.map({ $0 < now }) ?? false {
            probes.reach(.stuckWorkerIsGivenUp)
            actions += remove(connection, blamed: true, because: "it does not answer", at: now)
            actions.append(.send(.introduce, to: connection))
        }
        return actions
    }

    // MARK: Damage

    /// Something was lost on the way. The worker is as good as unknown: its hello makes both sides agree again.
    mutating func agreeAgain(with connection: ConnectionID, at now: Instant) -> [CoordinatorAction] {
        probes.reach(.damagedMessage)
        let actions = remove(
            connection, blamed: false, because: "a message of it arrived damaged", at: now)
        admit(connection, at: now)
        return actions + [.send(.introduce, to: connection)]
    }
}
