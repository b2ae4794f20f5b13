internal import CZeroMQ
internal import Glibc

/// The home of sockets: their I/O threads, and the name space of `inproc://` endpoints.
///
/// Any thread may use a context. Sockets keep their context alive; when the last reference goes, its I/O threads
/// end, after waiting for what sockets with a `linger` still have to send (none, unless it was set).
public final class Context: Sendable {
    /// libzmq documents contexts as thread safe, and the pointer never changes.
    nonisolated(unsafe) let handle: UnsafeMutableRawPointer

    /// Makes a context.
    ///
    /// - Parameters:
    ///   - ioThreads: Threads that move data; one serves about a gigabyte per second.
    ///   - maxSockets: How many sockets may be open at once.
    /// - Throws: `ZeroMQError` for a number out of range, or if there are no file descriptors left.
    public init(ioThreads: Int = 1, maxSockets: Int = 1023) throws(ZeroMQError) {
        guard let handle = zmq_ctx_new() else { throw .last("make a ZeroMQ context") }
        self.handle = handle
        for (name, option, value) in [
            ("ioThreads", ZMQ_IO_THREADS, ioThreads), ("maxSockets", ZMQ_MAX_SOCKETS, maxSockets),
        ] where zmq_ctx_set(handle, option, Int32(clamping: value)) != 0 {
            throw .last("set \(name) of a ZeroMQ context to \(value)")
        }
    }

    /// Makes every call on the context's sockets, blocked or to come, fail with `isContextTerminated`.
    ///
    /// Threads that own sockets then close them and end.
    public func shutdown() {
        zmq_ctx_shutdown(handle)
    }

    deinit {
        while zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {}
    }
}
