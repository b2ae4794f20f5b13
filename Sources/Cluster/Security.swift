internal import Coordination
public import ZeroMQ

/// A coordinator's keys: its own, and those of the workers that may come.
public struct CoordinatorKeys: Sendable {
    /// The coordinator's secret key.
    public let secretKey: CurveSecretKey
    /// The public keys of workers that are let in.
    public let allowed: Set<CurvePublicKey>

    /// Keys for a coordinator.
    public init(secretKey: CurveSecretKey, allowed: Set<CurvePublicKey>) {
        self.secretKey = secretKey
        self.allowed = allowed
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
