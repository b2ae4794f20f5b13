internal import CZeroMQ
internal import Glibc

/// A bell that any thread may ring to wake the thread that waits in a `Poller`.
///
/// ```swift
/// let wakeup = try Wakeup()
/// var poller = Poller()
/// let bell = poller.add(wakeup)
/// …                                       // another thread: wakeup.signal()
/// for ready in try poller.wait() where ready.key == bell { wakeup.reset() }
/// ```
public final class Wakeup: Sendable {
    /// The descriptor that becomes readable; Linux's `eventfd`.
    let descriptor: Int32

    /// Makes a silent bell.
    ///
    /// - Throws: `ZeroMQError` if there are no file descriptors left.
    public init() throws(ZeroMQError) {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard descriptor >= 0 else { throw ZeroMQError(errno, "make a wake-up descriptor") }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Rings; from any thread, and from signal handlers too. Rings before a `reset` are one.
    public func signal() {
        var one: UInt64 = 1
        // It can only fail with EAGAIN, when 2⁶⁴ − 2 rings are waiting; then the bell rings already.
        while write(descriptor, &one, 8) < 0, errno == EINTR {}
    }

    /// Makes the bell silent again. Do so *before* looking at what it was rung for, or a ring may be lost.
    public func reset() {
        var count: UInt64 = 0
        while read(descriptor, &count, 8) < 0, errno == EINTR {}
    }
}
