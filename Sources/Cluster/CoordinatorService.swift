internal import Coordination
internal import Dispatch
internal import Foundation
internal import Logging
internal import Synchronization
internal import Work
internal import ZeroMQ

/// The coordinator's thread: it owns the socket, drives the state machine, and keeps results.
///
/// Everybody else talks to it through its mailbox.
final class CoordinatorService: Sendable {
    enum Command: Sendable {
        case begin(any WorkSource, CheckedContinuation<any WorkSource, any Error>)
        case interrupt
        /// A process on this machine has ended.
        case processEnded(Int32)
        case fail(any Error)
        case stop(reason: String)
    }

    struct Configuration: Sendable {
        let endpoint: String
        /// Where workers on this machine come to besides, in a folder that only this user can enter.
        let localEndpoint: String?
        let keys: CoordinatorKeys?
        /// Whether others may connect although there are no keys.
        let isInsecure: Bool
        let library: ContentLibrary
        let settings: CoordinatorSettings
        let limits: WireLimits
        /// `nil` for one of its own, which goes with the thread, once workers have heard the last message.
        let context: Context?
        let journal: (any WorkJournal & Sendable)?
        let progress: @Sendable (any WorkSource) throws -> Void
        /// What is answered to those who ask how far the run is: a JSON object.
        let status: @Sendable () -> Data
        /// Told with a sentence while the run waits for room on the disk, and with nothing once it goes on.
        let paused: @Sendable (String?) -> Void
        /// Given the last events and actions when the work ends with an error.
        let postMortem: (@Sendable ([String]) -> Void)?
        let logger: Logger
    }

    /// What other threads may see.
    struct Snapshot: Sendable {
        var endpoint = ""
        var workers: [WorkerStatus] = []
        /// Processes that were ready to compute at some time.
        var readyProcesses: Set<Int32> = []
        /// Workers that were ready to compute at some time.
        var readyWorkers: Set<WorkerID> = []
    }

    let mailbox: Mailbox<Command>
    let snapshot = Mutex(Snapshot())
    private let startError = Mutex<(any Error)?>(nil)
    private let started = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the thread and waits until it listens.
    ///
    /// - Throws: `ZeroMQError`, `ClusterError.keysMissing`.
    init(_ configuration: Configuration) throws {
        try Transport.check(
            configuration.endpoint, hasKeys: configuration.keys != nil || configuration.isInsecure)
        mailbox = try Mailbox()
        // The thread keeps the service alive until it ends.
        let thread = Thread {
            do {
                let loop = try CoordinatorLoop(configuration, mailbox: self.mailbox)
                self.snapshot.withLock { $0.endpoint = loop.endpoint }
                self.started.signal()
                loop.run { coordinator in
                    let status = coordinator.workers
                    self.snapshot.withLock { snapshot in
                        snapshot.workers = status
                        for case let (.ready, hello?) in status.map({ ($0.phase, $0.hello) }) {
                            snapshot.readyProcesses.insert(hello.process)
                            snapshot.readyWorkers.insert(hello.identity)
                        }
                    }
                }
            } catch {
                self.startError.withLock { $0 = error }
                self.started.signal()
            }
            for case .begin(_, let continuation) in self.mailbox.close() {
                continuation.resume(throwing: ClusterError.shutDown)
            }
            self.ended.signal()
        }
        thread.name = "espalier-coordinator"
        thread.start()
        started.wait()
        if let error = startError.withLock({ $0 }) { throw error }
    }

    /// Sends workers home and ends the thread. May be called again.
    func stop(reason: String) {
        mailbox.post(.stop(reason: reason))
        // A worker that does not listen must not keep this process from ending.
        _ = ended.wait(timeout: .now() + 5)
        ended.signal()
    }
}
