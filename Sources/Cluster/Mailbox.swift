internal import Coordination
internal import Synchronization
internal import ZeroMQ

/// Hands values from any thread to the one that waits in a poller.
final class Mailbox<Value: Sendable>: Sendable {
    let wakeup: Wakeup
    private let state = Mutex<(values: [Value], isClosed: Bool)>(([], false))

    init() throws(ZeroMQError) { wakeup = try Wakeup() }

    /// Adds a value and wakes the owner.
    ///
    /// - Returns: whether somebody will take it; `false` once the owner has closed the mailbox.
    @discardableResult
    func post(_ value: Value) -> Bool {
        let isTaken = state.withLock { state in
            if !state.isClosed { state.values.append(value) }
            return !state.isClosed
        }
        wakeup.signal()
        return isTaken
    }

    /// Takes everything that was posted.
    func drain() -> [Value] {
        wakeup.reset()
        return state.withLock { state in
            defer { state.values = [] }
            return state.values
        }
    }

    /// Takes everything that was posted, and refuses more.
    func close() -> [Value] {
        state.withLock { state in
            defer { state = ([], true) }
            return state.values
        }
    }
}

/// The time for state machines: nanoseconds since this was made.
struct Stopwatch: Sendable {
    private let origin = ContinuousClock.now

    var now: Instant { .zero + origin.duration(to: .now) }
}
