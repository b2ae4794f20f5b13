internal import Work

/// What the coordinator knows of one connection.
struct Peer: Sendable {
    var hello: Hello?
    var phase: WorkerStatus.Phase = .greeting
    /// The shards that the worker holds.
    var shards: Set<Int> = []
    /// The shards that the worker was told to hold, those it has taken last at the end.
    var assigned: [Int] = []
    /// When it was last told so.
    var lastHold: Instant = .zero
    /// Since when there has been nothing for it to do.
    var idleSince: Instant?
    /// Attempts that the worker has not answered, in the order in which it computes them.
    var outstanding: [AttemptID] = []
    var lastHeard: Instant
    var lastSent: Instant
    /// Until when others are given the chance to do better.
    var restsUntil: Instant?
    var computed = 0
    /// What keeps it from working, as it said last.
    var trouble: String?
    /// What it handed over before it was known in which bits it computes.
    var handovers: [Handover] = []
    /// By when the worker must have answered one of its tasks, or is given up; `nil` while it owes nothing.
    var answerBy: Instant?
    /// Since when the worker has been in its phase.
    var since: Instant

    init(at now: Instant) {
        lastHeard = now
        lastSent = now
        since = now
    }

    /// Whether the worker is still getting what it was told to load.
    var isLoading: Bool { phase == .loading || (phase == .ready && !assigned.allSatisfy(shards.contains)) }

    /// What the worker is called in logs.
    func name(_ connection: ConnectionID) -> String { hello?.name ?? "connection \(connection)" }
}

/// A task handed to a worker until a deadline.
struct Lease: Sendable {
    let attempt: UInt32
    let connection: ConnectionID
    let handedOut: Instant
    /// From then on another worker may have the task too.
    let deadline: Instant
}

/// A task that workers hold leases of.
struct InFlightItem: Sendable {
    let item: WorkItem
    var leases: [Lease] = []
    var attempts: UInt32 = 0
    /// Who was given which attempt, also those whose leases have ended.
    var holders: [UInt32: WorkerID] = [:]
    /// Whether its workers were told that the result cannot matter any more.
    var isCancelled = false
}

/// Counts how often each piece of work ended a worker, or failed on one.
///
/// A task's work may come back in other company, so every piece of it is counted for itself.
struct FailureCounts: Sendable {
    private var counts: [Int: Int] = [:]
    /// What vanished workers were computing: it is forgiven if they come back.
    private var vanished: [WorkerID: [Int]] = [:]

    /// Counts a failure of a task's work.
    ///
    /// - Parameter worker: the worker that vanished; `nil` for one that lives and said that it failed.
    /// - Returns: those of the pieces that have reached `limit`.
    mutating func add(_ item: WorkItem, vanished worker: WorkerID?, limit: Int) -> [Int] {
        for piece in item.pieces { counts[piece, default: 0] += 1 }
        if let worker { vanished[worker, default: []] += item.pieces }
        return item.pieces.filter { counts[$0, default: 0] >= limit }
    }

    /// A worker that was thought dead is alive.
    ///
    /// - Returns: whether anything was counted against it.
    mutating func forgive(_ worker: WorkerID) -> Bool {
        guard let pieces = vanished.removeValue(forKey: worker) else { return false }
        for piece in pieces { counts[piece, default: 1] -= 1 }
        return true
    }
}
