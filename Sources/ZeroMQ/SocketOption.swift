internal import CZeroMQ

/// A setting of a socket, with the type of its values.
///
/// Set options before `bind` and `connect`: most have no effect on connections that exist already.
public struct SocketOption<Value: Sendable>: Sendable {
    /// The option's name, for errors.
    public let name: String
    let code: Int32
    /// Bytes to offer when reading; libzmq wants exactly as many as a number has.
    let capacity: Int
    let encode: @Sendable (Value) -> [UInt8]
    let decode: @Sendable ([UInt8]) -> Value?
}

extension SocketOption where Value == Duration {
    /// How long a closed socket goes on trying to deliver; 0 unless set.
    public static var linger: Self { milliseconds("linger", ZMQ_LINGER) }
    /// How long to wait before connecting again.
    public static var reconnectInterval: Self { milliseconds("reconnectInterval", ZMQ_RECONNECT_IVL) }
    /// Where the doubling of `reconnectInterval` ends; 0 for no doubling.
    public static var maximumReconnectInterval: Self {
        milliseconds("maximumReconnectInterval", ZMQ_RECONNECT_IVL_MAX)
    }
    /// How long the greeting and key exchange with a peer may take.
    public static var handshakeInterval: Self { milliseconds("handshakeInterval", ZMQ_HANDSHAKE_IVL) }
    /// How long a TCP connection may take to come about; 0 for the system's default.
    public static var connectTimeout: Self { milliseconds("connectTimeout", ZMQ_CONNECT_TIMEOUT) }
    /// How often to ping peers; 0 for never.
    public static var heartbeatInterval: Self { milliseconds("heartbeatInterval", ZMQ_HEARTBEAT_IVL) }
    /// How long to wait for a peer's answer to a ping.
    public static var heartbeatTimeout: Self { milliseconds("heartbeatTimeout", ZMQ_HEARTBEAT_TIMEOUT) }
    /// How long a peer shall wait for traffic from here before it gives up; at most 6,553 s.
    public static var heartbeatTimeToLive: Self { milliseconds("heartbeatTimeToLive", ZMQ_HEARTBEAT_TTL) }
    /// How long a blocking send may wait.
    public static var sendTimeout: Self { milliseconds("sendTimeout", ZMQ_SNDTIMEO) }
    /// How long a blocking receive may wait.
    public static var receiveTimeout: Self { milliseconds("receiveTimeout", ZMQ_RCVTIMEO) }
    /// How long a TCP connection is silent before the system probes it; whole seconds.
    public static var tcpKeepaliveIdle: Self { seconds("tcpKeepaliveIdle", ZMQ_TCP_KEEPALIVE_IDLE) }
    /// How long between two of the system's probes; whole seconds.
    public static var tcpKeepaliveInterval: Self { seconds("tcpKeepaliveInterval", ZMQ_TCP_KEEPALIVE_INTVL) }
}

extension SocketOption where Value == Int {
    /// How many messages may wait to be sent to one peer; 0 for no limit.
    public static var sendHighWaterMark: Self { int32("sendHighWaterMark", ZMQ_SNDHWM) }
    /// How many messages from one peer may wait to be received; 0 for no limit.
    public static var receiveHighWaterMark: Self { int32("receiveHighWaterMark", ZMQ_RCVHWM) }
    /// The largest frame in bytes that a peer may send, or it is disconnected; -1 for no limit.
    public static var maximumMessageSize: Self { int64("maximumMessageSize", ZMQ_MAXMSGSIZE) }
    /// How many of the system's probes a TCP connection may miss.
    public static var tcpKeepaliveCount: Self { int32("tcpKeepaliveCount", ZMQ_TCP_KEEPALIVE_CNT) }
}

extension SocketOption where Value == Bool {
    /// A router throws `isUnroutable` for messages to nobody, instead of dropping them silently.
    public static var routerMandatory: Self { flag("routerMandatory", ZMQ_ROUTER_MANDATORY) }
    /// A new peer may take over a routing id that is in use. Off unless set: that would be theft.
    public static var routerHandover: Self { flag("routerHandover", ZMQ_ROUTER_HANDOVER) }
    /// Messages wait for connections that are complete, not for those that may never be.
    public static var immediate: Self { flag("immediate", ZMQ_IMMEDIATE) }
    /// IPv6 addresses are used too.
    public static var ipv6: Self { flag("ipv6", ZMQ_IPV6) }
    /// The system probes silent TCP connections.
    public static var tcpKeepalive: Self { flag("tcpKeepalive", ZMQ_TCP_KEEPALIVE) }
    static var curveServer: Self { flag("curveServer", ZMQ_CURVE_SERVER) }
}

extension SocketOption where Value == String {
    /// What the ZAP handler sees as the name of this group of sockets.
    public static var zapDomain: Self { text("zapDomain", ZMQ_ZAP_DOMAIN) }
    /// The endpoint last bound or connected to, with the port that the system chose; read only.
    public static var lastEndpoint: Self { text("lastEndpoint", ZMQ_LAST_ENDPOINT) }
}

extension SocketOption where Value == [UInt8] {
    /// The routing id by which routers shall know a dealer, up to 255 bytes; automatic unless set.
    public static var routingIdentity: Self { bytes("routingIdentity", ZMQ_ROUTING_ID) }
    static var curvePublicKey: Self { bytes("curvePublicKey", ZMQ_CURVE_PUBLICKEY) }
    static var curveSecretKey: Self { bytes("curveSecretKey", ZMQ_CURVE_SECRETKEY) }
    static var curveServerKey: Self { bytes("curveServerKey", ZMQ_CURVE_SERVERKEY) }
}
