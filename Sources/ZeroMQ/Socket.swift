internal import CZeroMQ
internal import Glibc

/// A ZeroMQ socket, owned by the thread that made it.
///
/// libzmq's sockets must never be used by two threads at once. So a socket remembers its thread, and every call
/// from another one stops the program at once with a clear message, rather than corrupting memory some day.
/// Other threads reach the owner through a `Wakeup` and a queue of their own.
///
/// ```swift
/// let context = try Context()
/// let socket = try Socket(.router, in: context)
/// try socket.set(.maximumMessageSize, 64 << 20)
/// try socket.bind(to: "tcp://*:5555")
/// while let frames = try socket.receive() { … }
/// ```
///
/// A new socket has a `linger` of 0: closing it never waits for peers. On any of its methods the error
/// `ENOTSOCK` says that it was closed, and `isContextTerminated` that its context was shut down.
public final class Socket {
    /// What a socket does with messages.
    public enum Kind: String, Hashable, Sendable {
        /// Talks to many peers; the first frame is the peer's routing id, both ways.
        case router
        /// Talks to a router.
        case dealer
        /// Talks to exactly one other `pair`.
        case pair
        /// Answers each request with one reply; for the ZAP handler.
        case reply
    }

    /// What the socket does with messages.
    public let kind: Kind
    let context: Context
    /// Kept for as long as the socket: without a ZAP handler a CURVE server would let in everybody.
    var authenticator: ZAPAuthenticator?
    private let pointer: UnsafeMutableRawPointer
    private let owner: pthread_t
    private var isClosed = false
    private(set) var monitorSocket: Socket?

    /// Makes a socket that the calling thread owns.
    ///
    /// - Throws: `ZeroMQError` if the context is shut down or has its full number of sockets.
    public init(_ kind: Kind, in context: Context) throws(ZeroMQError) {
        let type =
            switch kind {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .pair: ZMQ_PAIR
            case .reply: ZMQ_REP
            }
        guard let pointer = zmq_socket(context.handle, type) else {
            throw .last("make a ZeroMQ \(kind.rawValue) socket")
        }
        self.kind = kind
        self.context = context
        self.pointer = pointer
        owner = pthread_self()
        try set(.linger, .zero)
    }

    /// A socket that nobody refers to any more is closed by whoever dropped the last reference: libzmq allows
    /// that from any thread after a full memory barrier, and releasing a reference is one.
    deinit {
        if !isClosed { closeHandle() }
    }

    /// Closes the socket; it may be called again.
    public func close() {
        checkOwner()
        guard !isClosed else { return }
        isClosed = true
        closeHandle()
    }

    /// Listens on an endpoint: `tcp://*:0`, `ipc:///path`, `inproc://name`.
    ///
    /// An `ipc://` path is taken even if another process listens there, and its file stays behind: use a private
    /// folder that is removed with the process.
    ///
    /// - Throws: `ZeroMQError`, e.g. `isAddressInUse`.
    public func bind(to endpoint: String) throws(ZeroMQError) {
        try Self.checkPort(of: endpoint, "bind to \(endpoint)")
        do {
            try call("bind to \(endpoint)") { zmq_bind($0, endpoint) }
        } catch let error where error.code == EAGAIN {
            // What name resolution says of a host that it does not know.
            throw ZeroMQError(EAGAIN, error.action, reason: "there is no such host")
        }
    }

    /// Connects to an endpoint, now or whenever it is there, and again whenever the connection breaks.
    ///
    /// - Throws: `ZeroMQError` for an endpoint that cannot be understood; never because no one listens.
    public func connect(to endpoint: String) throws(ZeroMQError) {
        try Self.checkPort(of: endpoint, "connect to \(endpoint)")
        try call("connect to \(endpoint)") { zmq_connect($0, endpoint) }
    }

    /// Ends the connection to an endpoint; what was still to be sent there is dropped after `linger`.
    ///
    /// - Throws: `ZeroMQError` (`ENOENT`) if there is none.
    public func disconnect(from endpoint: String) throws(ZeroMQError) {
        try call("disconnect from \(endpoint)") { zmq_disconnect($0, endpoint) }
    }

    /// Stops listening on an endpoint; give it as `lastEndpoint` showed it.
    ///
    /// - Throws: `ZeroMQError` (`ENOENT`) if the socket does not listen there.
    public func unbind(from endpoint: String) throws(ZeroMQError) {
        try call("unbind from \(endpoint)") { zmq_unbind($0, endpoint) }
    }

    /// libzmq's socket.
    ///
    /// - Throws: `ENOTSOCK` if it was closed.
    /// - Precondition: the calling thread owns the socket.
    func handle(_ action: @autoclosure () -> String) throws(ZeroMQError) -> UnsafeMutableRawPointer {
        checkOwner()
        guard !isClosed else {
            throw ZeroMQError(ENOTSOCK, action(), reason: "the \(kind.rawValue) socket was closed")
        }
        return pointer
    }

    /// Calls libzmq, again as long as a signal interrupts it, and throws its error.
    func call(_ action: String, _ body: (UnsafeMutableRawPointer) -> Int32) throws(ZeroMQError) {
        let handle = try handle(action)
        while body(handle) != 0 {
            guard zmq_errno() == EINTR else { throw .last(action) }
        }
    }

    /// Keeps the reading end of the socket's monitor; it is closed with the socket.
    func attach(monitor: Socket) { monitorSocket = monitor }

    /// libzmq takes a port above 65,535 for another one, by cutting off its upper bits.
    private static func checkPort(of endpoint: String, _ action: String) throws(ZeroMQError) {
        guard endpoint.hasPrefix("tcp://"), let port = endpoint.split(separator: ":").last,
            !port.isEmpty, port.allSatisfy(\.isNumber), UInt16(port) == nil
        else { return }
        throw ZeroMQError(EINVAL, action, reason: "\(port) is no port; ports go up to 65535")
    }

    private func checkOwner() {
        precondition(
            pthread_equal(pthread_self(), owner) != 0,
            "a ZeroMQ \(kind.rawValue) socket was used by another thread than the one that made it")
    }

    private func closeHandle() {
        // First the writing end: libzmq's I/O thread would wait for ever for a monitor that no one reads.
        if let monitorSocket {
            zmq_socket_monitor(pointer, nil, 0)
            if !monitorSocket.isClosed {
                monitorSocket.isClosed = true
                zmq_close(monitorSocket.pointer)
            }
        }
        zmq_close(pointer)
    }
}

@available(*, unavailable, message: "a ZeroMQ socket belongs to the thread that made it")
extension Socket: Sendable {}
