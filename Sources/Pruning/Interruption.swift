internal import Synchronization

/// Notices SIGINT and SIGTERM, so that a search stops between two results and can be resumed.
///
/// The first signal asks to stop; a second one is for the program to follow at once.
public final class Interruption: Sendable {
    private struct State {
        var isRequested = false
        var handlers: [@Sendable () -> Void] = []
    }

    /// What the watch and this share; the watch must not keep this alive.
    private final class Request: Sendable {
        let state = Mutex(State())
        private let onRepetition: @Sendable () -> Void

        init(onRepetition: @escaping @Sendable () -> Void) { self.onRepetition = onRepetition }

        func make() {
            let handlers = state.withLock { state -> [@Sendable () -> Void]? in
                defer { state = State(isRequested: true) }
                return state.isRequested ? nil : state.handlers
            }
            guard let handlers else { return onRepetition() }
            for handler in handlers { handler() }
        }
    }

    private let requested: Request
    private let watch: SignalWatch

    /// Starts to listen.
    ///
    /// - Parameter onRepetition: called on every signal but the first: the user does not want to wait.
    public init(onRepetition: @escaping @Sendable () -> Void) {
        let requested = Request(onRepetition: onRepetition)
        self.requested = requested
        watch = SignalWatch { requested.make() }
    }

    /// Whether someone asked to stop.
    public var isRequested: Bool { requested.state.withLock { $0.isRequested } }

    /// Calls `handler` once when someone asks to stop; at once if that was before.
    public func onRequest(_ handler: @escaping @Sendable () -> Void) {
        let isLate = requested.state.withLock { state in
            if !state.isRequested { state.handlers.append(handler) }
            return state.isRequested
        }
        if isLate { handler() }
    }

    /// Throws when someone asked to stop.
    public func check() throws { if isRequested { throw Interrupted() } }
}

/// The user stopped the run; it can be resumed.
public struct Interrupted: Error, Sendable, CustomStringConvertible {
    /// The run was stopped.
    public init() {}
    /// The error as a sentence.
    public var description: String { "interrupted" }
}
