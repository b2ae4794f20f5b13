internal import Coordination
internal import Glibc
public import ZeroMQ
internal import Work

/// A coordinator's keys: its own, and those of the workers that may come.
public struct CoordinatorKeys: Sendable {
    /// The coordinator's secret key.
    public let secretKey: CurveSecretKey
    /// The public keys of workers that are let in.
    public let allowed: Set<CurvePublicKey>
    /// The folder that the allowed keys came from: those that are added to it are let in too.
    let folder: String?

    /// Keys for a coordinator.
    public init(secretKey: CurveSecretKey, allowed: Set<CurvePublicKey>) {
        self.init(secretKey: secretKey, allowed: allowed, folder: nil)
    }

    init(secretKey: CurveSecretKey, allowed: Set<CurvePublicKey>, folder: String?) {
        self.secretKey = secretKey
        self.allowed = allowed
        self.folder = folder
    }
}

/// A worker's keys: its own, and the coordinator's public one.
public struct WorkerKeys: Sendable {
    /// The worker's own keys.
    public let own: CurveKeyPair
    /// The key that the coordinator must have.
    public let coordinator: CurvePublicKey

    /// Keys for a worker.
    public init(own: CurveKeyPair, coordinator: CurvePublicKey) {
        self.own = own
        self.coordinator = coordinator
    }
}

/// What both sides' sockets have in common.
enum Transport {
    /// - Throws: `ClusterError.keysMissing` for an endpoint that others can reach, without keys.
    static func check(_ endpoint: String, hasKeys: Bool) throws(ClusterError) {
        guard hasKeys || endpoint.hasPrefix("ipc://") || endpoint.hasPrefix("inproc://") else {
            throw .keysMissing(endpoint: endpoint)
        }
    }

    /// The endpoint to listen on: libzmq takes addresses and interfaces, but no names.
    static func bindable(_ endpoint: String) -> String {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else { return endpoint }
        let host = endpoint[..<colon].dropFirst("tcp://".count)
        guard host.contains(where: \.isLetter), !host.contains("[") else { return endpoint }
        var hints = addrinfo()
        hints.ai_family = AF_INET
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(String(host), nil, &hints, &found) == 0, let address = found?.pointee.ai_addr else {
            return endpoint
        }
        defer { freeaddrinfo(found) }
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard
            getnameinfo(
                address, socklen_t(MemoryLayout<sockaddr_in>.size), &text, socklen_t(text.count), nil, 0,
                NI_NUMERICHOST) == 0
        else { return endpoint }
        let numeric = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "tcp://\(numeric)\(endpoint[colon...])"
    }

    /// Bounds what a peer can make this process hold, and how long a closed socket tries to deliver.
    static func configure(_ socket: Socket, frameBytes: Int) throws(ZeroMQError) {
        try socket.set(.maximumMessageSize, frameBytes)
        try socket.set(.linger, .seconds(1))
        try socket.set(.sendHighWaterMark, 1000)
        try socket.set(.receiveHighWaterMark, 1000)
        // Dead machines and cut cables; processes that end are noticed by the system itself.
        try socket.set(.tcpKeepalive, true)
        try socket.set(.handshakeInterval, .seconds(10))
    }
}
