import Foundation
import Synchronization

@testable import ZeroMQ

/// Polls until `body` gives a value; nil after `timeout`, which only a failing test waits for.
func eventually<R>(within timeout: Duration = .seconds(10), _ body: () throws -> R?) throws -> R? {
    let clock = ContinuousClock()
    let deadline = clock.now.advanced(by: timeout)
    while clock.now < deadline {
        if let value = try body() { return value }
        usleep(2000)
    }
    return nil
}

extension Socket {
    /// The next message, waited for.
    func next(within timeout: Duration = .seconds(10)) throws -> [[UInt8]]? {
        try eventually(within: timeout) { try receive() }?.map(\.bytes)
    }
}

extension SocketMonitor {
    /// The next event of a kind, waited for; others are skipped.
    func next(
        within timeout: Duration = .seconds(10), _ matches: (MonitorEvent.Kind) -> Bool
    ) throws -> MonitorEvent? {
        try eventually(within: timeout) {
            while let event = try next() {
                if matches(event.kind) { return event }
            }
            return nil
        }
    }

    func handshakeFailure(within timeout: Duration = .seconds(10)) throws -> HandshakeFailure? {
        guard
            let event = try next(within: timeout, { if case .handshakeFailed = $0 { true } else { false } }),
            case .handshakeFailed(let failure) = event.kind
        else { return nil }
        return failure
    }
}

/// A value that several threads may change.
final class Shared<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>
    init(_ value: Value) { mutex = Mutex(value) }
    var value: Value { mutex.withLock { $0 } }
    func change(_ body: (inout Value) -> Void) { mutex.withLock { body(&$0) } }
}

/// Calls `body` with an `ipc://` endpoint in a folder of its own, which is removed afterwards: libzmq leaves the
/// socket's file behind.
func withTemporaryEndpoint<R>(_ body: (String) throws -> R) throws -> R {
    let folder = URL(fileURLWithPath: "/tmp/espalier-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body("ipc://\(folder.path)/socket")
}
