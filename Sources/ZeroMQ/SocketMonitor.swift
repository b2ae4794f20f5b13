internal import CZeroMQ

/// Reports what happens to a socket's connections.
///
/// Without it a wrong key looks like silence: libzmq tries again for ever and says nothing. Events that are not
/// read stay in memory, so add `socket` to the poller and read them all. The monitor belongs to the thread that
/// owns the watched socket, and ends with that.
///
/// ```swift
/// let monitor = try router.monitor()
/// while let event = try monitor.next() {
///     if case .handshakeFailed(let failure) = event.kind { print("\(event.endpoint): \(failure)") }
/// }
/// ```
public struct SocketMonitor {
    /// Readable when there are events; for the poller only.
    public let socket: Socket

    /// The next event, or nil if there is none yet.
    ///
    /// - Throws: `ZeroMQError`.
    public func next() throws(ZeroMQError) -> MonitorEvent? {
        while let frames = try socket.receive() {
            if let event = MonitorEvent(frames: frames) { return event }
        }
        return nil
    }
}

extension Socket {
    /// Starts to report what happens to the socket's connections; call it before `bind` and `connect`.
    ///
    /// A second call gives the same monitor.
    ///
    /// - Throws: `ZeroMQError`.
    public func monitor() throws(ZeroMQError) -> SocketMonitor {
        let handle = try handle("monitor a \(kind.rawValue) socket")
        if let monitorSocket { return SocketMonitor(socket: monitorSocket) }
        // The address is nobody else's while this socket is open.
        let endpoint = "inproc://espalier.monitor.\(UInt(bitPattern: handle))"
        let events = Socket.monitoredEvents
        try call("monitor a \(kind.rawValue) socket") { zmq_socket_monitor($0, endpoint, events) }
        do {
            let reader = try Socket(.pair, in: context)
            // No limit: at one, libzmq's I/O thread would stop until someone reads.
            try reader.set(.receiveHighWaterMark, 0)
            try reader.connect(to: endpoint)
            attach(monitor: reader)
            return SocketMonitor(socket: reader)
        } catch {
            zmq_socket_monitor(handle, nil, 0)
            throw error
        }
    }

    private static var monitoredEvents: Int32 { ZMQ_EVENT_ALL }
}
