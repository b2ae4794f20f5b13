internal import Datasets
internal import OrderedCollections
internal import Work

extension Coordinator {
    /// Checks what must hold after every event. Tests call it each time; a run need not.
    ///
    /// - Throws: `InvariantViolation` with every promise that does not hold.
    public func validateState() throws(InvariantViolation) {
        var findings = Findings()
        checkFlights(&findings)
        checkPeers(&findings)
        checkSource(&findings)
        guard findings.problems.isEmpty else { throw InvariantViolation(problems: findings.problems) }
    }

    /// Every task in flight is held by workers that owe it, and no work twice.
    private func checkFlights(_ findings: inout Findings) {
        var inFlight: Set<Int> = []
        for (id, flight) in flights {
            findings.expect(!flight.leases.isEmpty, "\(id) is in flight and nobody holds it")
            findings.expect(lapsed[id] == nil, "\(id) is in flight and given back")
            findings.expect(
                Set(flight.leases.map(\.connection)).count == flight.leases.count,
                "a worker holds \(id) twice")
            findings.expect(
                Set(flight.leases.map(\.attempt)).count == flight.leases.count,
                "two leases of \(id) have one number")
            for lease in flight.leases { check(lease, of: id, on: flight.item.shard, &findings) }
            for piece in flight.item.pieces {
                findings.expect(inFlight.insert(piece).inserted, "piece \(piece) is in flight twice")
            }
        }
        findings.expect(
            flights.count <= peers.count * settings.credit && lapsed.count <= Self.lapsedLimit,
            "\(flights.count) tasks are in flight and \(lapsed.count) kept for late results")
    }

    private func check(_ lease: Lease, of id: TaskID, on shard: Int?, _ findings: inout Findings) {
        let holder = "\(id) is leased to \(lease.connection)"
        guard let peer = peers[lease.connection] else {
            findings.problems.append("\(holder), which is gone")
            return
        }
        findings.expect(peer.phase == .ready, "\(holder), which is not ready")
        if let shard {
            findings.expect(peer.shards.contains(shard), "\(holder), which does not hold shard \(shard)")
        }
        findings.expect(
            peer.outstanding.contains(AttemptID(id, lease.attempt)), "\(holder), which is not said to owe it")
    }

    /// Workers owe what they have leases of, and only once they are ready.
    private func checkPeers(_ findings: inout Findings) {
        for (connection, peer) in peers {
            findings.expect(
                (peer.answerBy == nil) == peer.outstanding.isEmpty,
                "\(connection) owes \(peer.outstanding.count) tasks, and is waited for until "
                    + "\(peer.answerBy.map(\.description) ?? "nothing")")
            findings.expect(
                peer.outstanding.count <= settings.credit,
                "\(connection) owes \(peer.outstanding.count) tasks, beyond its credit of \(settings.credit)")
            findings.expect(
                peer.phase == .ready || peer.outstanding.isEmpty, "\(connection) owes tasks and is not ready")
            findings.expect(
                (peer.hello == nil) == (peer.phase == .greeting),
                "\(connection) is \(peer.phase) without a name")
            findings.expect(
                peer.phase == .loading || peer.handovers.isEmpty,
                "what \(connection) handed over was forgotten when it was ready")
            for id in peer.outstanding {
                guard let flight = flights[id.task] else { continue }
                findings.expect(
                    flight.leases.contains { $0.connection == connection && $0.attempt == id.attempt },
                    "\(connection) owes \(id), and has no lease of it")
            }
        }
        let identities = peers.values.compactMap(\.hello?.identity)
        findings.expect(Set(identities).count == identities.count, "a worker is there twice")
    }

    /// While there is work nobody idles; afterwards nothing of it is left.
    private func checkSource(_ findings: inout Findings) {
        guard let source else {
            findings.expect(
                flights.isEmpty && lapsed.isEmpty, "tasks are left over from a source that has ended")
            return
        }
        findings.expect(!source.isComplete, "the source is complete and was not finished")
        let mayTakeAnything = peers.values.contains { peer in
            peer.phase == .ready && peer.outstanding.isEmpty && peer.restsUntil == nil
                && peer.shards.count == settings.run.sharding.shards
        }
        findings.expect(
            !flights.isEmpty || !mayTakeAnything,
            "work is left, nothing is in flight, and a worker is idle")
    }
}

/// The promises that do not hold.
private struct Findings {
    var problems: [String] = []

    mutating func expect(_ condition: Bool, _ problem: @autoclosure () -> String) {
        if !condition { problems.append(problem()) }
    }
}
