internal import Cluster
internal import ComputationGraph
internal import Coordination
internal import Engine
internal import Foundation
internal import Logging
internal import Report
internal import Work

/// Who computes: this process alone, worker processes on this machine, or workers on any machine.
struct EvaluationBackend {
    /// Worker processes on this machine; 0 computes in this process, or on `remote` alone.
    let workers: Int
    /// Workers on other machines, beside those on this one.
    var remote: RemoteWorkers?
    /// What this process computes on the reference block, where that is known already.
    var proof: [UInt8]?
    let logger: Logger
    let interruption: Interruption
    /// Told what is worth a line.
    var noted: @Sendable (String) -> Void = { _ in }
    /// Where it is written down how far the run is.
    var board: StatusBoard?
    /// Called after results were folded; what it throws ends the search.
    let progress: @Sendable (any WorkSource) throws -> Void
    /// Where the last events of a run that failed are written; `nil` for nowhere.
    var postMortem: String?

    private var room: DiskFullRetry { DiskFullRetry(interruption: interruption, board: board, noted: noted) }

    /// Who took part.
    struct WorkerCount {
        /// How many workers; 0 for this process alone.
        var workers: Int
    }

    /// Gives `body` a runner of a workload's work that lives as long as the call.
    ///
    /// - Parameter journal: keeps every result before it counts.
    func evaluate<Value>(
        _ workload: Workload, journal: any WorkJournal & Sendable,
        _ body: (any WorkRunner) async throws -> Value
    ) async throws -> (Value, WorkerCount) {
        guard workers > 0 || remote != nil else {
            let value = try await body(
                workload.runner(journal: RetryingJournal(journal, room), progress: progress))
            return (value, WorkerCount(workers: 0))
        }
        let cluster = try cluster(workload, journal: journal)
        defer { cluster.shutdown() }
        let runner = cluster.runner
        board?.watch { runner.workers }
        defer { board?.watch(nil) }
        interruption.onRequest { runner.interrupt() }
        let notes = remote.map { noteWorkerCount(of: runner, for: $0) }
        defer { notes?.cancel() }
        do {
            let value = try await body(runner)
            return (value, WorkerCount(workers: remote == nil ? workers : runner.workerCount))
        } catch ClusterError.interrupted { throw Interrupted() }
    }

    /// A coordinator that listens, if asked to, and the workers that it starts.
    private func cluster(_ workload: Workload, journal: any WorkJournal & Sendable) throws -> LocalCluster {
        guard let remote else {
            return try LocalCluster(
                workers: workers,
                settings: workload.coordinatorSettings(workload.runDescription()),
                journal: journal, logger: logger, paused: room.paused,
                postMortem: writePostMortem, progress: progress)
        }
        let (settings, library) = try workload.remoteSettings(remote, proof: proof)
        let access = RemoteAccess(endpoint: remote.endpoint, keys: remote.keys, library: library) { [board] in
            board?.json ?? Data("{}".utf8)
        }
        return try LocalCluster(
            workers: workers, settings: settings, remote: access, journal: journal, logger: logger,
            paused: room.paused, postMortem: writePostMortem, progress: progress)
    }

    /// Writes the coordinator's last events beside the journal.
    private var writePostMortem: (@Sendable ([String]) -> Void)? {
        guard let path = postMortem else { return nil }
        return { lines in
            // Whoever gets here has an error to tell already.
            try? TextOutput.write(lines.joined(separator: "\n") + "\n", to: path)
        }
    }

    /// Says where workers come to, and from time to time how many are there.
    private func noteWorkerCount(of runner: ClusterRunner, for remote: RemoteWorkers)
        -> Task<Void, any Error>
    {
        noted("listening on \(runner.endpoint)")
        if remote.keys == nil && runner.endpoint.hasPrefix("tcp") {
            noted("warning: without keys anybody who can reach \(runner.endpoint) can read model and data")
        }
        let noted = noted
        return Task {
            var attendance = WorkerCountNotes(endpoint: runner.endpoint)
            while !Task.isCancelled {
                if let note = attendance.note(workers: runner.workers, now: .now) { noted(note) }
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }
}

/// What is told about workers that come and go: few lines, whatever they do.
private struct WorkerCountNotes {
    let endpoint: String
    private var told = 0
    private var lastNote: ContinuousClock.Instant?
    private static let often: Duration = .seconds(2)
    private static let seldom: Duration = .seconds(30)

    init(endpoint: String) { self.endpoint = endpoint }

    mutating func note(workers: [WorkerStatus], now: ContinuousClock.Instant) -> String? {
        let ready = workers.count { $0.phase == .ready }
        let since = lastNote.map { now - $0 }
        let isDue = ready != told ? since ?? .seconds(60) >= Self.often : since ?? .seconds(60) >= Self.seldom
        guard isDue, ready != told || ready == 0 else { return nil }
        told = ready
        lastNote = now
        let loading = workers.count { $0.phase == .loading }
        guard ready == 0 else { return ready == 1 ? "1 worker is ready" : "\(ready) workers are ready" }
        return loading > 0
            ? "waiting for workers: \(loading) load the model" : "waiting for workers at \(endpoint)"
    }
}
