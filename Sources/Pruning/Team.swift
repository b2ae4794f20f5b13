internal import Cluster
internal import ComputationGraph
internal import Coordination
internal import Engine
internal import Foundation
internal import Logging
internal import Search

/// Who computes: this process alone, worker processes on this machine, or workers on any machine.
struct Team {
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
    let progress: @Sendable (LevelRace) throws -> Void

    private var room: RoomWait { RoomWait(interruption: interruption, board: board, noted: noted) }

    /// Who took part.
    struct Attendance {
        /// How many workers; 0 for this process alone.
        var workers: Int
    }

    /// Gives `body` an evaluator of a workload that lives as long as the call.
    ///
    /// - Parameter journal: keeps every result before it counts.
    func evaluate<Value>(
        _ workload: Workload, journal: any LevelJournal & Sendable,
        _ body: (any LevelEvaluator) async throws -> Value
    ) async throws -> (Value, Attendance) {
        guard workers > 0 || remote != nil else {
            let evaluator = try workload.evaluator()
            let value = try await body(
                LocalEvaluator(journal: PatientJournal(journal, room), progress: progress) { task in
                    try evaluator.evaluate(
                        state: task.state, samples: task.samples, expansions: task.edges.map { $0.map { Unit($0) } },
                        contenders: task.contenders)
                })
            return (value, Attendance(workers: 0))
        }
        let cluster = try cluster(workload, journal: journal)
        defer { cluster.shutdown() }
        let evaluator = cluster.evaluator
        board?.watch { evaluator.workers }
        defer { board?.watch(nil) }
        interruption.onRequest { evaluator.interrupt() }
        let notes = remote.map { noteAttendance(of: evaluator, for: $0) }
        defer { notes?.cancel() }
        do {
            let value = try await body(evaluator)
            return (value, Attendance(workers: remote == nil ? workers : evaluator.workerCount))
        } catch ClusterError.interrupted { throw Interrupted() }
    }

    /// A coordinator that listens, if asked to, and the workers that it starts.
    private func cluster(_ workload: Workload, journal: any LevelJournal & Sendable) throws -> LocalCluster {
        guard let remote else {
            return try LocalCluster(
                workers: workers,
                settings: CoordinatorSettings(
                    run: workload.runDescription(), softwareVersion: Espalier.version),
                journal: journal, logger: logger, paused: room.paused, progress: progress)
        }
        let (settings, library) = try workload.remoteSettings(remote, proof: proof)
        let access = RemoteAccess(endpoint: remote.endpoint, keys: remote.keys, library: library) { [board] in
            board?.json ?? Data("{}".utf8)
        }
        return try LocalCluster(
            workers: workers, settings: settings, remote: access, journal: journal, logger: logger,
            paused: room.paused, progress: progress)
    }

    /// Says where workers come to, and from time to time how many are there.
    private func noteAttendance(of evaluator: ClusterEvaluator, for remote: RemoteWorkers)
        -> Task<Void, any Error>
    {
        noted("listening on \(evaluator.endpoint)")
        if remote.keys == nil && evaluator.endpoint.hasPrefix("tcp") {
            noted("warning: without keys anybody who can reach \(evaluator.endpoint) can read model and data")
        }
        let noted = noted
        return Task {
            var attendance = AttendanceNotes(endpoint: evaluator.endpoint)
            while !Task.isCancelled {
                if let note = attendance.note(workers: evaluator.workers, now: .now) { noted(note) }
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }
}

/// What is told about workers that come and go: few lines, whatever they do.
private struct AttendanceNotes {
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
