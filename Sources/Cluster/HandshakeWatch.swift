internal import ZeroMQ

/// Tells a coordinator that is merely absent from one that will never let this worker in.
///
/// A coordinator whose key is not the one that was expected cannot read what the worker sends, so it hangs up without a
/// word: connection after connection ends before the handshake does.
struct HandshakeWatch {
    private var isShakingHands = false
    private var broken = 0
    /// So many in a row are no accident.
    static let limit = 6

    /// Takes in what happened to a connection.
    ///
    /// - Returns: why trying again is of no use; `nil` while it may be.
    mutating func failure(after event: MonitorEvent.Kind) -> String? {
        switch event {
        case .connected: isShakingHands = true
        case .handshakeSucceeded:
            isShakingHands = false
            broken = 0
        // Trying again would not change a key.
        case .handshakeFailed(.denied(status: 400)), .handshakeFailed(.protocolError):
            if case .handshakeFailed(let failure) = event { return "\(failure)" }
        case .handshakeFailed, .disconnected:
            guard isShakingHands else { return nil }
            isShakingHands = false
            broken += 1
            guard broken >= Self.limit else { return nil }
            return
                "\(broken) connections in a row ended during the handshake: the coordinator has another key than the "
                + "one that this worker expects, or something else listens there"
        default: break
        }
        return nil
    }
}
