internal import Dispatch
public import Glibc

/// Calls a handler for each signal that the process is sent, on a queue of its own, for as long as it lives.
public final class SignalWatch: Sendable {
    // Only created and cancelled; safe from any thread.
    private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

    /// Starts to watch. Once this returns no signal is lost; until then each does what it always does.
    ///
    /// Signals must not be ignored meanwhile, as is often done for dispatch sources: a source is set up on another
    /// thread, and on Linux it takes the place of whatever the signal did before. One that arrived while it was ignored
    /// would be lost: on a busy machine that took long enough for a user's Ctrl-C.
    public init(_ numbers: [Int32] = [SIGINT, SIGTERM], handler: @escaping @Sendable () -> Void) {
        let queue = DispatchQueue(label: "signals")
        let isSetUp = DispatchSemaphore(value: 0)
        sources = numbers.map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler(handler: handler)
            source.setRegistrationHandler { isSetUp.signal() }
            source.resume()
            return source
        }
        for _ in numbers { isSetUp.wait() }
    }

    deinit { for source in sources { source.cancel() } }
}
