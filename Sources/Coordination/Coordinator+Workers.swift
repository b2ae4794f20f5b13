internal import Datasets
internal import OrderedCollections
internal import Work

/// Workers come, introduce themselves, and go.
extension Coordinator {
    mutating func admit(_ connection: ConnectionID, at now: Instant) {
        if peers[connection] == nil { peers.set(Peer(at: now), for: connection) }
    }

    mutating func receive(_ message: WorkerMessage, from connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        // Who only asks is no worker.
        if case .askStatus = message { return [.report(to: connection)] }
        admit(connection, at: now)
        peers.update(connection) { $0.lastHeard = now }
        if case .hello(let hello) = message { return greet(hello, from: connection, at: now) }
        if case .goodbye(let reason, let failed) = message {
            return sayGoodbye(to: connection, reason: reason, failed: failed, at: now)
        }
        // Whoever is unknown is asked who it is, and keeps its results until then.
        guard let phase = peers[connection]?.phase, phase != .greeting else {
            probes.reach(.strangerIsIntroduced)
            return [.send(.introduce, to: connection)]
        }
        switch message {
        case .hello, .goodbye, .askStatus: return []
        case .alive:
            peers.update(connection) { $0.trouble = nil }
            return []
        case .waiting(let reason): return note(trouble: reason, of: connection)
        case .ready(let shards, let proof):
            return makeReady(connection, shards: shards, proof: proof, at: now)
        case .fetch(let request): return [.serve(request, to: connection)]
        case .result(let result): return take(result, from: connection, at: now)
        case .handover(let handover) where phase == .ready || settings.proof.isEmpty:
            return take(handover, from: connection, at: now)
        case .handover(let handover):
            keepForLater(handover, from: connection)
            return []
        case .failed(let failure): return take(failure, from: connection, at: now)
        case .cancelled(let id):
            endLease(id, of: connection, at: now)
            return []
        }
    }

    /// Tells once what keeps a worker from working.
    private mutating func note(trouble: String, of connection: ConnectionID) -> [CoordinatorAction] {
        guard let peer = peers[connection], peer.trouble != trouble else { return [] }
        peers.update(connection) { $0.trouble = trouble }
        return [.log(.warning, "\(peer.name(connection)) waits: \(trouble)")]
    }

    private mutating func greet(_ hello: Hello, from connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        guard hello.softwareVersion == settings.softwareVersion else {
            return refuse(
                connection,
                because: "the worker's software version is \(hello.softwareVersion), the coordinator's "
                    + settings.softwareVersion, at: now)
        }
        var actions: [CoordinatorAction] = []
        // The same process on a new connection: the old one is dead, whatever the transport says. Another process on the
        // same connection, which nobody should do: what the earlier one had goes to others.
        for (other, peer) in peers
        where peer.hello?.identity == hello.identity || (other == connection && peer.hello != nil) {
            probes.reach(.workerConnectsAgain)
            actions += remove(other, blamed: false, because: "it connected again", at: now)
            if other != connection { actions.append(.close(other)) }
        }
        if failures.forgive(hello.identity) { probes.reach(.vanishedWorkerIsForgiven) }
        var peer = Peer(at: now)
        peer.hello = hello
        peer.phase = .loading
        peers.set(peer, for: connection)
        actions.append(.log(.info, "\(hello.name) came: \(hello.machine)"))
        actions.append(.send(.welcome(settings.run), to: connection))
        return actions
    }

    private mutating func makeReady(
        _ connection: ConnectionID, shards: [Int], proof: [UInt8], at now: Instant
    ) -> [CoordinatorAction] {
        guard let peer = peers[connection], peer.phase != .greeting else { return [] }
        let last = shards.max() ?? (settings.shards.isEmpty ? .max : 0)
        guard last < settings.run.sharding.shards else {
            return refuse(
                connection,
                because: "the worker claims shards that there are not among "
                    + "\(settings.run.sharding.shards)", at: now)
        }
        var actions: [CoordinatorAction] = []
        if peer.phase == .loading {
            actions = compareNumerics(of: connection, proof: proof, at: now)
            guard peers[connection] != nil else { return actions }
            // What a worker brought along on its own is what it is to hold.
            peers.update(connection) { peer in
                peer.assigned = shards
                peer.phase = .ready
                peer.since = now
            }
        }
        // It may have been told since to let some go.
        let kept = Set(peers[connection]?.assigned ?? []).intersection(shards)
        peers.update(connection) { $0.shards = kept }
        // What it has let go on its own it cannot compute: others may.
        for id in peer.outstanding {
            guard let shard = flights[id.task]?.item.shard, !kept.contains(shard) else { continue }
            probes.reach(.shardIsLetGo)
            endLease(id, of: connection, at: now)
            actions.append(.send(.cancel(id.task), to: connection))
        }
        loadFailures = (0, "")
        actions.append(.log(.debug, "\(peer.name(connection)) is ready with \(kept.count) shards"))
        return actions + takeEarlyHandovers(of: connection, at: now)
    }

    private mutating func sayGoodbye(
        to connection: ConnectionID, reason: String, failed: Bool, at now: Instant
    ) -> [CoordinatorAction] {
        let actions =
            remove(connection, blamed: false, isWorthTelling: true, because: reason, at: now)
            + [.close(connection)]
        // While others compute, those that cannot load stop nobody.
        guard failed, readyCount == 0 else { return actions }
        loadFailures = (loadFailures.count + 1, reason)
        return actions + stopIfNobodyCanLoad()
    }

    /// Stops a source for which there is no worker and, by what several said, will be none; also one that begins only then.
    mutating func stopIfNobodyCanLoad() -> [CoordinatorAction] {
        guard loadFailures.count >= settings.failureLimit, source?.isComplete == false else { return [] }
        return fail(.cannotLoad(reason: loadFailures.reason))
    }

    /// Tells a peer that it is not wanted.
    mutating func refuse(_ connection: ConnectionID, because reason: String, at now: Instant)
        -> [CoordinatorAction]
    {
        admit(connection, at: now)
        var actions: [CoordinatorAction] = [.send(.refused(reason: reason), to: connection)]
        let name = peers[connection]?.name(connection) ?? "a worker"
        actions.append(.log(.warning, "\(name) was refused: \(reason)"))
        actions += remove(connection, blamed: false, because: "it was refused", at: now)
        actions.append(.close(connection))
        return actions
    }

    /// Forgets a worker and makes its work available again.
    ///
    /// - Parameters:
    ///   - blamed: whether the task that it was computing may have been the cause.
    ///   - isWorthTelling: whether the user should hear of it; of a worker that is blamed always.
    mutating func remove(
        _ connection: ConnectionID, blamed: Bool, isWorthTelling: Bool = false, because reason: String,
        at now: Instant
    ) -> [CoordinatorAction] {
        guard let peer = peers.removeValue(forKey: connection) else { return [] }
        var actions: [CoordinatorAction] = []
        if peer.hello != nil {
            actions.append(
                .log(blamed || isWorthTelling ? .warning : .info, "\(peer.name(connection)) left: \(reason)"))
        }
        if blamed, let suspect = peer.outstanding.first, let flight = flights[suspect.task] {
            actions += noteFailure(of: flight.item, vanished: peer.hello?.identity, reason: reason)
        }
        for id in peer.outstanding { endLease(id, of: connection, at: now) }
        return actions
    }

    /// Counts a failure of a task's work, and stops the run when there were too many.
    mutating func noteFailure(of item: WorkItem, vanished worker: WorkerID?, reason: String)
        -> [CoordinatorAction]
    {
        let deadly = failures.add(item, vanished: worker, limit: settings.failureLimit)
        guard !deadly.isEmpty, let source else { return [] }
        return fail(
            .deadlyTask(
                work: source.describe(item, pieces: deadly), workers: settings.failureLimit, last: reason))
    }
}
