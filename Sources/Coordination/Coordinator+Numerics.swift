internal import OrderedCollections
internal import Work

/// Workers whose losses differ in the last bits from the coordinator's: refused, or let in and kept in mind.
extension Coordinator {
    /// Compares what a worker made of the reference block with what the coordinator did.
    ///
    /// - Returns: what is to be done. Without leave for other bits the worker is gone afterwards.
    mutating func compareNumerics(of connection: ConnectionID, proof: [UInt8], at now: Instant)
        -> [CoordinatorAction]
    {
        guard let hello = peers[connection]?.hello else { return [] }
        otherNumerics[hello.identity] = nil
        guard !settings.proof.isEmpty, proof != settings.proof else { return [] }
        let difference =
            "its losses differ in the last bits from the coordinator's: it has \(hello.machine), the coordinator "
            + settings.machine
        guard settings.allowsMixedNumerics else {
            let advice = "; 'prune --allow-mixed-numerics' would let it take part"
            return [.log(.warning, "\(hello.name) is refused: \(difference)")]
                + refuse(connection, because: difference + advice, at: now)
        }
        otherNumerics[hello.identity] = Numerics(digest: proof, machine: "\(hello.host): \(hello.machine)")
        return [.log(.warning, "\(hello.name) takes part although \(difference)")]
    }

    /// What stands before the first result that is kept of a machine with other bits.
    mutating func noteNumerics(of connection: ConnectionID) -> [CoordinatorAction] {
        guard let worker = peers[connection]?.hello?.identity, let numerics = otherNumerics[worker],
            notedNumerics.insert(numerics).inserted
        else { return [] }
        return [.note(numerics)]
    }

    // MARK: Handovers

    /// A worker hands over before it says that it is ready: until then nobody knows in which bits it was computed.
    mutating func keepForLater(_ handover: Handover, from connection: ConnectionID) {
        // Of more than any worker keeps, the rest is offered again.
        guard (peers[connection]?.handovers.count ?? 0) < KeptAnswers.limit else { return }
        probes.reach(.handoverWaitsForProof)
        peers.update(connection) { $0.handovers.append(handover) }
    }

    mutating func takeEarlyHandovers(of connection: ConnectionID, at now: Instant) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        while let handover = peers[connection]?.handovers.first {
            peers.update(connection) { $0.handovers.removeFirst() }
            actions += take(handover, from: connection, at: now)
        }
        return actions
    }
}
