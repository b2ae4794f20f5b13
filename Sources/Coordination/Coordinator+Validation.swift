internal import Datasets
internal import OrderedCollections
internal import Search

extension Coordinator {
    /// Checks what must hold after every event. Tests call it each time; a run need not.
    ///
    /// - Throws: `InvariantViolation` with every promise that does not hold.
    public func validateState() throws(InvariantViolation) {
        var problems: [String] = []
        func expect(_ condition: Bool, _ problem: @autoclosure () -> String) {
            if !condition { problems.append(problem()) }
        }
        struct Piece: Hashable {
            let expansion: Int
            let block: BlockID
        }
        var inFlight: Set<Piece> = []
        for (id, flight) in flights {
            expect(!flight.leases.isEmpty, "\(id) is in flight and nobody holds it")
            expect(lapsed[id] == nil, "\(id) is in flight and given back")
            expect(
                Set(flight.leases.map(\.connection)).count == flight.leases.count,
                "a worker holds \(id) twice")
            expect(
                Set(flight.leases.map(\.attempt)).count == flight.leases.count,
                "two leases of \(id) have one number")
            for lease in flight.leases {
                guard let peer = peers[lease.connection] else {
                    problems.append("\(id) is leased to \(lease.connection), which is gone")
                    continue
                }
                expect(peer.phase == .ready, "\(id) is leased to \(lease.connection), which is not ready")
                expect(
                    peer.shards.contains(flight.task.block.shard),
                    "\(id) is leased to \(lease.connection), which does not hold shard \(flight.task.block.shard)"
                )
                expect(
                    peer.outstanding.contains(AttemptID(id, lease.attempt)),
                    "\(id) is leased to \(lease.connection), which is not said to owe it")
            }
            for expansion in flight.task.expansions {
                expect(
                    inFlight.insert(Piece(expansion: expansion, block: flight.task.block)).inserted,
                    "block \(flight.task.block) of expansion \(expansion) is in flight twice")
            }
        }
        expect(
            flights.count <= peers.count * settings.credit && lapsed.count <= Self.lapsedLimit,
            "\(flights.count) tasks are in flight and \(lapsed.count) kept for late results")
        for (connection, peer) in peers {
            expect(
                (peer.answerBy == nil) == peer.outstanding.isEmpty,
                "\(connection) owes \(peer.outstanding.count) tasks, and is waited for until "
                    + "\(peer.answerBy.map(\.description) ?? "nothing")")
            expect(
                peer.outstanding.count <= settings.credit,
                "\(connection) owes \(peer.outstanding.count) tasks, beyond its credit of \(settings.credit)")
            expect(
                peer.phase == .ready || peer.outstanding.isEmpty, "\(connection) owes tasks and is not ready")
            expect(
                (peer.hello == nil) == (peer.phase == .greeting),
                "\(connection) is \(peer.phase) without a name")
            for id in peer.outstanding {
                guard let flight = flights[id.task] else { continue }
                expect(
                    flight.leases.contains { $0.connection == connection && $0.attempt == id.attempt },
                    "\(connection) owes \(id), and has no lease of it")
            }
        }
        let identities = peers.values.compactMap(\.hello?.identity)
        expect(Set(identities).count == identities.count, "a worker is there twice")
        if let race {
            expect(!race.isComplete, "the level is over and was not finished")
            let mayTakeAnything = peers.values.contains { peer in
                peer.phase == .ready && peer.outstanding.isEmpty && peer.restsUntil == nil
                    && peer.shards.count == settings.run.sharding.shards
            }
            expect(
                !flights.isEmpty || !mayTakeAnything,
                "work is left, nothing is in flight, and a worker is idle")
        } else {
            expect(flights.isEmpty && lapsed.isEmpty, "tasks are left over from a level that has ended")
        }
        guard problems.isEmpty else { throw InvariantViolation(problems: problems) }
    }
}
