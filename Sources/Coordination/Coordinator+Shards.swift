internal import OrderedCollections
internal import Work

/// Which worker holds which shards, where the coordinator says so. It decides who computes what, never what comes out.
extension Coordinator {
    /// Tells workers that have room what to hold: of all shards those that the fewest hold.
    mutating func assignShards(at now: Instant) -> [CoordinatorAction] {
        guard !settings.shards.isEmpty else { return [] }
        var actions: [CoordinatorAction] = []
        for (connection, peer) in peers where peer.phase == .ready {
            let room = capacity(of: peer) - peer.assigned.count
            guard room > 0 else { continue }
            let holders = shardHolders()
            // Workers that come one after the other begin at different places, so that each can start on its own.
            let start = holders.indices.min { (holders[$0], $0) < (holders[$1], $1) } ?? 0
            let count = settings.shards.count
            let missing = settings.shards.indices.filter { !peer.assigned.contains($0) }
                .sorted {
                    (holders[$0], ($0 + count - start) % count) < (holders[$1], ($1 + count - start) % count)
                }
            guard !missing.isEmpty else { continue }
            actions += hold(peer.assigned + missing.prefix(room), by: connection, at: now)
        }
        return actions
    }

    /// Gives idle workers shards on which there is work, in the place of others that they hold: at once those that
    /// nobody holds, after some patience those whose holders are busy.
    mutating func moveShards(at now: Instant) -> [CoordinatorAction] {
        guard !settings.shards.isEmpty, source != nil else { return [] }
        var actions: [CoordinatorAction] = []
        for (connection, peer) in peers {
            guard peer.phase == .ready, peer.outstanding.isEmpty, !peer.isLoading,
                peer.assigned.count < settings.shards.count
            else {
                peers.update(connection) { $0.idleSince = nil }
                continue
            }
            let since = peer.idleSince ?? now
            peers.update(connection) { $0.idleSince = since }
            let holders = shardHolders()
            let isPatient = now - since >= settings.patience
            guard
                let item = source?.next(
                    for: WorkerView(holds: { !peer.shards.contains($0) && (isPatient || holders[$0] == 0) }))
            else { continue }
            source?.giveBack(item)
            guard let shard = item.shard else { continue }
            probes.reach(.shardMoves)
            let kept = peer.assigned.suffix(max(0, capacity(of: peer) - 1))
            actions += hold(kept + [shard], by: connection, at: now)
        }
        return actions
    }

    /// How many shards a worker may hold; at least one.
    private func capacity(of peer: Peer) -> Int {
        let all = settings.shards.count
        guard var budget = settings.run.dataBudget else { return all }
        if let own = peer.hello?.memory, let planned = settings.run.memoryBudget { budget += own - planned }
        let largest = settings.shards.reduce(1) { max($0, $1.content.size) }
        return min(all, max(1, budget / largest))
    }

    /// How many workers hold each shard, or are about to.
    private func shardHolders() -> [Int] {
        var holders = [Int](repeating: 0, count: settings.shards.count)
        for peer in peers.values {
            for shard in peer.assigned where holders.indices.contains(shard) { holders[shard] += 1 }
        }
        return holders
    }

    /// Tells workers again that have not got what they were told to hold: a message may have been lost.
    mutating func remindOfShards(at now: Instant) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        // A late copy of a hello makes a worker unknown that is ready; when its welcome is lost too, it never says so.
        for (connection, peer) in peers
        where peer.phase == .loading && now - max(peer.since, peer.lastHold) >= Self.reminder {
            peers.update(connection) { $0.lastHold = now }
            probes.reach(.welcomeIsRepeated)
            actions.append(.send(.welcome(settings.run), to: connection))
        }
        for (connection, peer) in peers
        where peer.phase == .ready && peer.isLoading && now - peer.lastHold >= Self.reminder {
            peers.update(connection) { $0.lastHold = now }
            probes.reach(.holdIsRepeated)
            actions.append(.send(.hold(contents(of: peer.assigned)), to: connection))
        }
        return actions
    }

    private static let reminder: Duration = .seconds(20)

    private func contents(of shards: [Int]) -> [ShardContent] {
        shards.compactMap { settings.shards.indices.contains($0) ? settings.shards[$0] : nil }
    }

    private mutating func hold(_ shards: [Int], by connection: ConnectionID, at now: Instant)
        -> [CoordinatorAction]
    {
        peers.update(connection) { peer in
            peer.assigned = shards
            peer.lastHold = now
            // What it is to let go gets no tasks any more.
            peer.shards.formIntersection(shards)
            peer.idleSince = nil
        }
        let name = peers[connection]?.name(connection) ?? "\(connection)"
        return [
            .log(
                .debug, "\(name) is to hold the shards \(shards.map(\.description).joined(separator: ", "))"),
            .send(.hold(contents(of: shards)), to: connection),
        ]
    }
}
