internal import Coordination
internal import DequeModule
internal import Work

/// The last events and actions of a coordinator, in memory: a look back when something went wrong.
struct EventHistory {
    private enum Entry {
        case event(CoordinatorEvent)
        case action(CoordinatorAction)
    }

    private var entries: Deque<(at: Instant, entry: Entry)> = []
    /// A few seconds of a busy coordinator, a few hundred kilobytes.
    private static let limit = 2000

    mutating func note(_ event: CoordinatorEvent, at now: Instant) {
        // Ticks and signs of life say nothing, and would push out what does.
        switch event {
        case .tick, .received(.alive, _): return
        default: add(.event(event), at: now)
        }
    }

    mutating func note(_ action: CoordinatorAction, at now: Instant) {
        switch action {
        case .send(.alive, _), .send(.chunk, _), .send(.status, _), .report: return
        default: add(.action(action), at: now)
        }
    }

    private mutating func add(_ entry: Entry, at now: Instant) {
        if entries.count == EventHistory.limit { entries.removeFirst() }
        entries.append((now, entry))
    }

    /// One line each, the oldest first.
    var lines: [String] {
        entries.map { at, entry in
            switch entry {
            case .event(let event): "\(at) < \(EventHistory.text(event))"
            case .action(let action): "\(at) > \(EventHistory.text(action))"
            }
        }
    }

    private static func text(_ event: CoordinatorEvent) -> String {
        switch event {
        case .connected(let connection): "connected \(connection)"
        case .received(let message, let connection): "\(connection): \(text(message))"
        case .malformed(let error, let connection): "\(connection): malformed, \(error)"
        case .disconnected(let connection): "disconnected \(connection)"
        case .tick: "tick"
        case .begin(let source, let recorded):
            "begin \(source.kind), stage \(source.stage), \(recorded.count) results on record"
        case .abandon: "abandon"
        case .stop(let reason): "stop: \(reason)"
        }
    }

    private static func text(_ message: WorkerMessage) -> String {
        switch message {
        case .hello(let hello): "hello of \(hello.name)"
        case .ready(let shards, _): "ready with \(shards.count) shards"
        case .fetch(let request): "fetch \(request.count) bytes from \(request.offset) on"
        case .askStatus: "asks for the status"
        case .result(let result): "result of \(result.id), \(result.result.count) bytes, \(result.seconds) s"
        case .handover(let handover): "handover of \(handover.key.kind), stage \(handover.key.stage)"
        case .failed(let failure): "failed \(failure.id): \(failure.reason)"
        case .cancelled(let id): "cancelled \(id)"
        case .alive(let computed): "alive, \(computed) computed"
        case .waiting(let reason): "waiting: \(reason)"
        case .goodbye(let reason, let failed): "goodbye\(failed ? " (failed)" : ""): \(reason)"
        }
    }

    private static func text(_ action: CoordinatorAction) -> String {
        switch action {
        case .send(let message, let connection): "\(connection): \(text(message))"
        case .close(let connection): "close \(connection)"
        case .journal(let record): "journal \(record.key.kind), stage \(record.key.stage)"
        case .note(let numerics): "note the numerics of \(numerics.machine)"
        case .finished(let source): "finished \(source.kind), stage \(source.stage)"
        case .fail(let error): "fail: \(error)"
        case .serve(let request, let connection): "serve \(request.count) bytes to \(connection)"
        case .report(let connection): "report to \(connection)"
        case .log(let level, let text): "log \(level): \(text)"
        }
    }

    private static func text(_ message: CoordinatorMessage) -> String {
        switch message {
        case .welcome: "welcome"
        case .refused(let reason): "refused: \(reason)"
        case .task(let order): "\(order.id), \(order.key.kind), \(order.key.payload.count) bytes"
        case .acknowledged(let id): "acknowledged \(id)"
        case .cancel(let task): "cancel \(task)"
        case .stop(let reason): "stop: \(reason)"
        case .alive: "alive"
        case .introduce: "introduce yourself"
        case .hold(let shards): "hold the shards \(shards.map(\.shard))"
        case .chunk: "chunk"
        case .status: "status"
        case .missing(_, let reason): "missing: \(reason)"
        }
    }
}
