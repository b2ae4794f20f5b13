internal import ZeroMQ

/// Tells a coordinator that is merely absent from one that will never let this worker in.
///
/// A coordinator whose key is not the one that was expected cannot read what the worker sends, so it hangs up without a
/// word: connection after connection ends before the handshake does. So it looks too where a tunnel takes connections for
/// a coordinator that is not there; a probe tells the two apart.
///
/// A wrong key fails every time, and a byte that was changed on its way once: only several failures in a row are believed. Where a
/// handshake succeeded once the keys are right: whatever breaks a connection later is a reason to connect again.
struct HandshakeWatch {
    /// What connections that fail are worth.
    enum Verdict: Equatable {
        /// Trying again is of no use.
        case refused(String)
        /// There is no coordinator yet, although something takes connections.
        case absent(String)
        /// The connection is of no use any more, and libzmq makes no other.
        case broken(String)
    }

    private var isShakingHands = false
    private var broken = 0
    /// Whether a handshake ever succeeded.
    private var hasOpened = false
    /// Whether this side has keys.
    private let hasKeys: Bool
    private let probe: () -> GreetingProbe.Answer
    /// Handshakes in a row in which a side broke the rules, or could not open what came.
    private var violations = 0
    /// Whether the last probe met a coordinator: connections that had ended before it may have met none.
    private var hasMet = false
    /// So many in a row are no accident.
    static let limit = 6
    /// So many more, once there is a coordinator for certain.
    static let confirmations = 2
    /// So many violations in a row are no accident.
    static let violationLimit = 3

    /// - Parameters:
    ///   - hasKeys: whether this side has keys.
    ///   - probe: looks what is there; may take seconds.
    init(hasKeys: Bool, probe: @escaping () -> GreetingProbe.Answer) {
        (self.hasKeys, self.probe) = (hasKeys, probe)
    }

    /// Takes in what happened to a connection.
    ///
    /// - Returns: `nil` while nothing can be said.
    mutating func verdict(after event: MonitorEvent.Kind) -> Verdict? {
        switch event {
        case .connected: isShakingHands = true
        case .handshakeSucceeded:
            isShakingHands = false
            hasOpened = true
            (broken, violations, hasMet) = (0, 0, false)
        case .handshakeFailed(.denied(status: 400)), .handshakeFailed(.protocolError):
            guard case .handshakeFailed(let failure) = event else { return nil }
            isShakingHands = false
            violations += 1
            guard !hasOpened, violations >= Self.violationLimit else { return .broken("\(failure)") }
            guard failure.isMechanismMismatch else { return .refused("\(failure)") }
            // This side may have hung up before the other knew why: a probe tells it.
            _ = probe()
            return .refused(mismatch)
        case .handshakeFailed, .disconnected:
            guard isShakingHands else { return nil }
            isShakingHands = false
            broken += 1
            guard broken >= (hasMet ? Self.confirmations : Self.limit) else { return nil }
            let answer = probe()
            defer { broken = 0 }
            guard case .greets(let mechanism) = answer, mechanism != (hasKeys ? .null : .curve), !hasOpened
            else {
                hasMet = false
                return verdict(of: answer)
            }
            defer { hasMet = true }
            return hasMet ? verdict(of: answer) : nil
        default: break
        }
        return nil
    }

    private func verdict(of answer: GreetingProbe.Answer) -> Verdict? {
        switch answer {
        case .greets where hasOpened:
            .absent("\(broken) connections in a row ended during the handshake; trying on")
        case .greets(hasKeys ? .null : .curve): .refused(mismatch)
        case .greets:
            .refused(
                "connection after connection ended during the handshake: the coordinator has another key than the "
                    + "one that this worker expects")
        case .speaksOtherwise where hasOpened: .absent("what listens there now is no coordinator")
        case .speaksOtherwise: .refused("what listens there is no coordinator")
        case .saysNothing:
            .absent(
                "something takes connections, and no coordinator is behind it: a tunnel without its far end?")
        case .nothing: nil
        }
    }

    /// That one side has keys and the other has none.
    private var mismatch: String {
        hasKeys
            ? "the coordinator runs with --insecure, and keys were given here: give --insecure here, or the coordinator --keys"
            : "the coordinator takes only those with keys, and --insecure was given here: give --keys"
    }
}
