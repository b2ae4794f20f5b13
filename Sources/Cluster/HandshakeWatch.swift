internal import ZeroMQ

/// Tells a coordinator that is merely absent from one that will never let this worker in.
///
/// A coordinator whose key is not the one that was expected cannot read what the worker sends, so it hangs up without a
/// word: connection after connection ends before the handshake does. So it looks too where a tunnel takes connections for
/// a coordinator that is not there; a probe tells the two apart.
///
/// Where a handshake succeeded once the keys are right: whatever breaks a connection later, such as a byte that was changed on
/// its way, is a reason to connect again.
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
    /// So many in a row are no accident.
    static let limit = 6

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
            broken = 0
        // Trying again would not change a key.
        case .handshakeFailed(.denied(status: 400)), .handshakeFailed(.protocolError):
            guard case .handshakeFailed(let failure) = event else { return nil }
            isShakingHands = false
            guard !hasOpened else { return .broken("\(failure)") }
            guard failure.isMechanismMismatch else { return .refused("\(failure)") }
            // This side may have hung up before the other knew why: a probe tells it.
            _ = probe()
            return .refused(mismatch)
        case .handshakeFailed, .disconnected:
            guard isShakingHands else { return nil }
            isShakingHands = false
            broken += 1
            guard broken >= Self.limit else { return nil }
            defer { broken = 0 }
            return verdict(of: probe())
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
                "\(broken) connections in a row ended during the handshake: the coordinator has another key than the "
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
