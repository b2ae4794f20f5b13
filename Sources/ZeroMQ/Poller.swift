internal import CZeroMQ
internal import Glibc

/// Waits for sockets and file descriptors to become readable or writable.
///
/// A poller belongs to the thread that owns its sockets.
public struct Poller {
    /// What to wait for, and what came.
    public struct Events: OptionSet, Hashable, Sendable {
        /// libzmq's bits.
        public let rawValue: Int16

        /// Events from libzmq's bits.
        public init(rawValue: Int16) { self.rawValue = rawValue }

        /// A message, or data, can be received.
        public static let readable = Events(rawValue: Int16(ZMQ_POLLIN))
        /// A message, or data, can be sent.
        public static let writable = Events(rawValue: Int16(ZMQ_POLLOUT))
        /// A file descriptor has an error or was closed on the other side.
        public static let failed = Events(rawValue: Int16(ZMQ_POLLERR))
    }

    /// Names a socket or descriptor that was added.
    public struct Key: Hashable, Sendable {
        fileprivate let number: Int
    }

    /// A socket or descriptor for which something came.
    public struct Ready: Hashable, Sendable {
        /// Which one.
        public let key: Key
        /// What came.
        public let events: Events
    }

    private enum Source {
        case socket(Socket)
        case descriptor(Int32)
        case wakeup(Wakeup)
    }

    private var entries: [(key: Key, source: Source, events: Events)] = []
    private var nextNumber = 0

    /// Makes a poller that waits for nothing yet.
    public init() {}

    /// Adds a socket, and keeps it.
    public mutating func add(_ socket: Socket, for events: Events = .readable) -> Key {
        add(.socket(socket), events)
    }

    /// Adds a file descriptor, which stays the caller's.
    public mutating func add(descriptor: Int32, for events: Events = .readable) -> Key {
        add(.descriptor(descriptor), events)
    }

    /// Adds a bell, and keeps it; `Wakeup.reset` silences it.
    public mutating func add(_ wakeup: Wakeup) -> Key { add(.wakeup(wakeup), .readable) }

    /// Waits for other events from now on; none pauses it.
    public mutating func update(_ key: Key, for events: Events) {
        guard let index = entries.firstIndex(where: { $0.key == key }) else { return }
        entries[index].events = events
    }

    /// Stops waiting for a socket or descriptor, and releases it.
    public mutating func remove(_ key: Key) {
        entries.removeAll { $0.key == key }
    }

    /// Waits until something comes, or time is up.
    ///
    /// - Parameter timeout: The longest wait; nil waits for ever, 0 only looks.
    /// - Returns: What came, in the order in which it was added; empty when time was up.
    /// - Throws: `ZeroMQError`: `isContextTerminated`, a closed socket, a bad descriptor, nothing to wait for.
    /// - Precondition: the calling thread owns the sockets.
    public func wait(timeout: Duration? = nil) throws(ZeroMQError) -> [Ready] {
        let action = "wait for sockets"
        var items: [zmq_pollitem_t] = []
        for entry in entries {
            switch entry.source {
            case .socket(let socket):
                let handle = try socket.handle(action)
                items.append(zmq_pollitem_t(socket: handle, fd: 0, events: entry.events.rawValue, revents: 0))
            case .descriptor(let descriptor):
                items.append(
                    zmq_pollitem_t(socket: nil, fd: descriptor, events: entry.events.rawValue, revents: 0))
            case .wakeup(let wakeup):
                items.append(
                    zmq_pollitem_t(
                        socket: nil, fd: wakeup.descriptor, events: entry.events.rawValue, revents: 0))
            }
        }
        guard !items.isEmpty || timeout != nil else {
            throw ZeroMQError(EINVAL, action, reason: "there is nothing to wait for")
        }
        let clock = ContinuousClock()
        let deadline = timeout.map { clock.now.advanced(by: min(max($0, .zero), .seconds(1_000_000_000))) }
        while true {
            let rest = deadline.map { clock.now.duration(to: $0).roundedUp(unitsPerSecond: 1000) } ?? -1
            if zmq_poll(&items, Int32(items.count), Int(rest)) >= 0 { break }
            guard zmq_errno() == EINTR else { throw .last(action) }
        }
        return zip(entries, items).compactMap { entry, item in
            item.revents == 0 ? nil : Ready(key: entry.key, events: Events(rawValue: item.revents))
        }
    }

    private mutating func add(_ source: Source, _ events: Events) -> Key {
        let key = Key(number: nextNumber)
        nextNumber += 1
        entries.append((key, source, events))
        return key
    }
}
