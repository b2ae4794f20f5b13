internal import Coordination
internal import Foundation
internal import Glibc
internal import Logging
internal import ZeroMQ

/// A socket on which the coordinator listens. Lives and dies on the coordinator's thread.
///
/// CURVE is a socket's, not an endpoint's: workers on this machine, which come through a private folder, and those from
/// elsewhere, who need keys, come to a socket each.
final class CoordinatorListener {
    /// Where workers connect, with the port that the system chose.
    let endpoint: String
    private let socket: Socket
    private let monitor: SocketMonitor
    private let authenticator: ZAPAuthenticator?
    /// The first byte of the names of this socket's connections: a peer may choose its own routing id, and must not
    /// choose that of another socket's peer.
    private let number: UInt8
    private let logger: Logger

    /// - Parameter keys: encrypts connections and lets in only known workers; `nil` for anybody.
    init(
        _ endpoint: String, number: UInt8, keys: CoordinatorKeys?, context: Context, limits: WireLimits,
        logger: Logger
    ) throws {
        self.number = number
        self.logger = logger
        socket = try Socket(.router, in: context)
        try Transport.configure(socket, frameBytes: limits.workerFrameBytes)
        // Without this a message to a worker that is gone would be dropped without a word.
        try socket.set(.routerMandatory, true)
        if let keys {
            let authenticator = try ZAPAuthenticator(context: context, allowed: keys.allowed) { denial in
                logger.warning("a peer at \(denial.address) was turned away: its key is not on the list")
            }
            try socket.useCurve(secretKey: keys.secretKey, authenticator: authenticator)
            self.authenticator = authenticator
        } else {
            authenticator = nil
        }
        monitor = try socket.monitor()
        if endpoint.contains("[") { try socket.set(.ipv6, true) }
        try socket.bind(to: Transport.bindable(endpoint))
        self.endpoint = (try? socket.get(.lastEndpoint)) ?? endpoint
    }

    /// Makes the poller wake up for this socket.
    func add(to poller: inout Poller) {
        _ = poller.add(socket)
        _ = poller.add(monitor.socket)
    }

    /// What has arrived: the connection, and the frames of its message.
    func receive() throws(ZeroMQError) -> (connection: ConnectionID, frames: [Frame])? {
        guard let frames = try socket.receive() else { return nil }
        return (ConnectionID([number] + frames[0].bytes), Array(frames.dropFirst()))
    }

    /// Whether a connection is one of this socket's.
    func owns(_ connection: ConnectionID) -> Bool { connection.bytes.first == number }

    /// - Returns: whether the peer is still there.
    func send(_ bytes: Data, to connection: ConnectionID) throws(ZeroMQError) -> Bool {
        try socket.send([Frame(Array(connection.bytes.dropFirst())), Frame(bytes)]) == .sent
    }

    /// Calls `told` with the sentence of each connection that did not come about.
    func watchHandshakes(_ told: (String) -> Void) throws(ZeroMQError) {
        while let event = try monitor.next() {
            if case .handshakeFailed(let failure) = event.kind {
                told("a peer could not connect to \(event.endpoint): \(reason(for: failure))")
            }
        }
    }

    /// Why a peer's handshake failed.
    private func reason(for failure: HandshakeFailure) -> String {
        guard failure.isMechanismMismatch else { return "\(failure)" }
        return authenticator == nil
            ? "it has keys, and this coordinator runs with --insecure"
            : "it has no keys (--insecure), and this coordinator takes only those with keys"
    }

    /// Lets in workers whose keys were added, and no more those whose keys were taken away.
    func replaceAllowed(by keys: Set<CurvePublicKey>) {
        if let authenticator, keys != authenticator.allowed { authenticator.replaceAllowed(by: keys) }
    }

    /// Stops listening.
    func close() {
        socket.close()
        // libzmq leaves the file of a Unix socket behind.
        if endpoint.hasPrefix("ipc:///") { unlink(String(endpoint.dropFirst("ipc://".count))) }
    }
}
