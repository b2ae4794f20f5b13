internal import CZeroMQ

/// Something that happened to one of a socket's connections (`zmq_socket_monitor`, version 1 events).
public struct MonitorEvent: Hashable, Sendable {
    /// What happens to connections.
    public enum Kind: Hashable, Sendable {
        /// A connection was made; the handshake follows.
        case connected
        /// A connection was not made at once and is awaited.
        case connectDelayed
        /// A connection will be tried again after this time.
        case connectRetried(after: Duration)
        /// The socket listens.
        case listening
        /// The socket cannot listen: an error number.
        case bindFailed(Int32)
        /// A peer connected; the handshake follows.
        case accepted
        /// A peer's connection could not be accepted: an error number.
        case acceptFailed(Int32)
        /// A connection was closed from here.
        case closed
        /// A connection could not be closed: an error number.
        case closeFailed(Int32)
        /// A connection broke.
        case disconnected
        /// A peer is there, and its key, if any, was accepted.
        case handshakeSucceeded
        /// A peer is not, or must not be, what it should.
        case handshakeFailed(HandshakeFailure)
        /// The socket was closed; no more events come.
        case monitorStopped
        /// An event that this version does not know.
        case unknown(UInt16)
    }

    /// What happened.
    public let kind: Kind
    /// The connection's endpoint; for accepted ones the address on this side.
    public let endpoint: String

    /// Reads the two frames that libzmq sends per event: number and value, then endpoint.
    ///
    /// - Returns: nil for frames of any other form.
    init?(frames: [Frame]) {
        guard frames.count == 2, frames[0].count == 6 else { return nil }
        let (number, value) = frames[0].withUnsafeBytes {
            ($0.loadUnaligned(as: UInt16.self), $0.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
        }
        endpoint = String(decoding: frames[1].bytes, as: UTF8.self)
        let code = Int32(bitPattern: value)
        kind =
            switch Int32(number) {
            case ZMQ_EVENT_CONNECTED: .connected
            case ZMQ_EVENT_CONNECT_DELAYED: .connectDelayed
            case ZMQ_EVENT_CONNECT_RETRIED: .connectRetried(after: .milliseconds(value))
            case ZMQ_EVENT_LISTENING: .listening
            case ZMQ_EVENT_BIND_FAILED: .bindFailed(code)
            case ZMQ_EVENT_ACCEPTED: .accepted
            case ZMQ_EVENT_ACCEPT_FAILED: .acceptFailed(code)
            case ZMQ_EVENT_CLOSED: .closed
            case ZMQ_EVENT_CLOSE_FAILED: .closeFailed(code)
            case ZMQ_EVENT_DISCONNECTED: .disconnected
            case ZMQ_EVENT_MONITOR_STOPPED: .monitorStopped
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: .handshakeSucceeded
            case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: .handshakeFailed(.noDetail(errorNumber: code))
            case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: .handshakeFailed(.protocolError(code: value))
            case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: .handshakeFailed(.denied(status: Int(value)))
            default: .unknown(number)
            }
    }
}

/// Why a handshake with a peer failed.
public enum HandshakeFailure: Hashable, Sendable, CustomStringConvertible {
    /// The connection broke or took too long; an error number.
    case noDetail(errorNumber: Int32)
    /// The peer broke the protocol (ZMTP or ZAP); one of libzmq's `ZMQ_PROTOCOL_ERROR_…` numbers.
    case protocolError(code: UInt32)
    /// The ZAP handler refused the peer; a ZAP status, 300 … 500 (ZeroMQ RFC 27).
    case denied(status: Int)

    /// True if a peer's encryption did not open with the key that was expected: usually a wrong server key.
    public var isWrongKey: Bool {
        self == .protocolError(code: UInt32(ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC))
    }

    /// True if one side encrypts and the other does not.
    public var isMechanismMismatch: Bool {
        self == .protocolError(code: UInt32(ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH))
    }

    /// The reason as a clause.
    public var description: String {
        switch self {
        case .noDetail(let number): "the connection broke during the handshake (error \(number))"
        case .denied(let status): "the key is not on the list of those allowed (ZAP status \(status))"
        case .protocolError(let code):
            switch Int32(bitPattern: code) {
            case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
                "its encryption does not open: one side has a wrong server key"
            case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
                "only one of the two sides uses encryption"
            default: "the peer does not follow the protocol (code 0x\(String(code, radix: 16)))"
            }
        }
    }
}
