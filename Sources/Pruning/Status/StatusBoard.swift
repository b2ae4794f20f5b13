internal import Coordination
public import Foundation
public import Report
internal import Synchronization

/// A run's record behind a lock, with a clock. Any thread may write and read.
public final class StatusBoard: Sendable {
    private struct Contents {
        var record: RunRecord
        var workers: (@Sendable () -> [WorkerStatus])?
    }

    private let contents: Mutex<Contents>
    let observer: (any PruneObserver)?
    private let start = ContinuousClock.now
    /// The most workers that are listed one by one; all are counted.
    private static let listedWorkers = 1000

    /// A board of a run that nothing has happened in yet.
    ///
    /// - Parameter observer: told every event.
    public init(model: String, data: String, observer: (any PruneObserver)? = nil) {
        contents = Mutex(
            Contents(record: RunRecord(version: Espalier.version, model: model, data: data)))
        self.observer = observer
    }

    /// The time now, by the record's clock.
    var time: Duration { ContinuousClock.now - start }

    /// Takes in an event, and tells the observer.
    ///
    /// - Parameter time: when it was; now unless told.
    func record(_ event: RunEvent, at time: Duration? = nil) {
        let (record, time) = contents.withLock { contents in
            let time = time ?? self.time
            contents.record.reduce(event, at: time)
            return (contents.record, time)
        }
        observer?.observed(event, in: record, at: time)
    }

    /// Takes in something that is worth a line.
    func note(_ message: String) { record(.noted(message)) }

    /// The run waits, for this reason; with `nil` it goes on.
    func paused(_ reason: String?) { record(reason.map { .paused($0) } ?? .resumed) }

    /// Says where the workers are asked for; with `nil` there are none any more.
    func watch(_ workers: (@Sendable () -> [WorkerStatus])?) {
        contents.withLock { $0.workers = workers }
        if workers == nil { record(.workers([], count: 0)) }
    }

    /// The run now.
    public var status: RunStatus {
        // Whoever is asked may take its time, and a lock of its own.
        if let present = contents.withLock({ $0.workers })?() {
            let listed = present.prefix(StatusBoard.listedWorkers).map { worker in
                RunStatus.Worker(
                    host: worker.hello?.host ?? "", process: worker.hello?.process ?? 0,
                    machine: worker.hello?.machine ?? "", phase: worker.phase.rawValue,
                    tasksInFlight: worker.outstanding, tasksDone: worker.computed,
                    shards: worker.shards.sorted())
            }
            record(.workers(listed, count: present.count))
        }
        return contents.withLock { $0.record.status(at: time) }
    }

    /// The run now, as a JSON object.
    public var json: Data { status.json }

    /// The run's summary, once it has ended.
    var summary: RunSummary? { contents.withLock { $0.record.summary } }
}
