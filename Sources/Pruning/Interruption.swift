internal import Dispatch
internal import Glibc
internal import Synchronization

/// Notices SIGINT and SIGTERM, so that a search stops between two results and can be resumed.
///
/// The first signal asks to stop; a second one ends the process at once, as it would have without this.
public final class Interruption: Sendable {
    private let requested = Mutex(false)
    private let handlers = Mutex<[@Sendable () -> Void]>([])
    // The sources live as long as this object; only created and cancelled.
    private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

    /// Starts to listen.
    public init() {
        let queue = DispatchQueue(label: "interruption")
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            return DispatchSource.makeSignalSource(signal: number, queue: queue)
        }
        for source in sources {
            source.setEventHandler { [weak self] in self?.request() }
            source.resume()
        }
    }

    deinit { for source in sources { source.cancel() } }

    /// Whether someone asked to stop.
    public var isRequested: Bool { requested.withLock { $0 } }

    /// Calls `handler` once when someone asks to stop; at once if that was before.
    public func onRequest(_ handler: @escaping @Sendable () -> Void) {
        if isRequested { return handler() }
        handlers.withLock { $0.append(handler) }
    }

    /// Throws when someone asked to stop.
    public func check() throws { if isRequested { throw Interrupted() } }

    private func request() {
        let again = requested.withLock { value in
            defer { value = true }
            return value
        }
        if again { _exit(130) }
        for handler in handlers.withLock({ $0 }) { handler() }
    }
}

/// The user stopped the run; it can be resumed.
public struct Interrupted: Error, Sendable, CustomStringConvertible {
    /// The run was stopped.
    public init() {}
    /// The error as a sentence.
    public var description: String { "interrupted" }
}
