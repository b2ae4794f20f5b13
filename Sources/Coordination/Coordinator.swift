internal import OrderedCollections
public import Work

/// The coordinator's side of a run, as a pure state machine: events in, actions out; no I/O, no clock, no threads.
///
/// It owns a source of work and decides who computes what, for how long, and what happens when a worker is slow,
/// silent, wrong or gone. What the work comes to does not depend on any of that.
///
/// ```swift
/// var coordinator = Coordinator(settings)
/// let actions = coordinator.handle(.received(.hello(hello), from: connection), at: now)
/// // [.send(.welcome(run), to: connection), …]
/// ```
public struct Coordinator: Sendable {
    /// How workers are treated.
    public let settings: CoordinatorSettings
    var peers: PeerTable
    /// The version of `peers` at which shards were last assigned.
    private var assignedVersion = -1
    /// No lease of a flight ends before.
    var earliestDeadline: Instant?
    /// Where the work comes from, e.g. to show how far it is; `nil` while there is none.
    public internal(set) var source: (any WorkSource)?
    /// Tasks that at least one worker holds a lease of.
    var flights: OrderedDictionary<TaskID, InFlightItem> = [:]
    /// Tasks of this source whose work was given back to it, in case their results come after all; the latest.
    var lapsed: OrderedDictionary<TaskID, InFlightItem> = [:]
    /// Who had a task of a locality last, and may have kept what it computed there.
    var locality: [UInt64: ConnectionID] = [:]
    var failures = FailureCounts()
    var cost = CostEstimate()
    private var lastTask: UInt64
    /// Seldom reached places, for a simulation.
    package internal(set) var probes = ProbeCounts()
    private var lastEvent: Instant?
    /// Since when work has been lying about with no one to take it.
    var quiet = Quiet()
    private var stalledSince: Instant?
    /// Workers that could not load since the last that could, where nobody else computed, and what the last of them said.
    var loadFailures: (count: Int, reason: String) = (0, "")
    /// Workers that compute other bits than the coordinator and take part all the same.
    var otherNumerics: [WorkerID: Numerics] = [:]
    /// Those of them whose results were used.
    var notedNumerics: Set<Numerics> = []

    /// A coordinator that no worker has come to yet.
    public init(_ settings: CoordinatorSettings) {
        self.settings = settings
        peers = PeerTable(credit: settings.credit)
        lastTask = settings.run.firstTaskNumber
    }

    /// The workers, in the order in which they came.
    public var workers: [WorkerStatus] {
        peers.map { connection, peer in
            WorkerStatus(
                connection: connection, hello: peer.hello, phase: peer.phase,
                outstanding: peer.outstanding.count,
                computed: peer.computed, shards: peer.shards)
        }
    }

    /// Changes whenever a worker comes, gets further or goes.
    public var membership: Int { peers.version }

    var readyCount: Int { peers.readyCount }

    /// Takes in what happened at `now`, which never goes back.
    ///
    /// - Returns: what is to be done, in this order.
    public mutating func handle(_ event: CoordinatorEvent, at now: Instant) -> [CoordinatorAction] {
        forgiveOwnSleep(until: now)
        var actions: [CoordinatorAction] = []
        switch event {
        case .connected(let connection): admit(connection, at: now)
        case .received(let message, let connection):
            actions = receive(message, from: connection, at: now)
        case .malformed(.damaged, let connection): actions = agreeAgain(with: connection, at: now)
        case .malformed(let error, let connection):
            actions = refuse(connection, because: "\(error)", at: now)
        case .disconnected(let connection):
            if peers[connection] != nil {
                actions = remove(connection, blamed: true, because: "its connection broke", at: now)
            }
        case .tick: actions = tick(at: now)
        case .begin(var source, let recorded):
            source.replay(recorded)
            actions = abandon()
            self.source = source
            actions += stopIfNobodyCanLoad()
        case .abandon: actions = abandon()
        case .stop(let reason):
            actions = abandon()
            actions += peers.keys.map { .send(.stop(reason: reason), to: $0) }
        }
        if peers.version != assignedVersion {
            actions += assignShards(at: now)
            assignedVersion = peers.version
        }
        actions = settle(after: actions, at: now)
        for case .send(_, let connection) in actions { peers.update(connection) { $0.lastSent = now } }
        return actions
    }

    /// Hands out what can be handed out, or ends the source's work when its outcome is known.
    ///
    /// Nobody waits for the disk: tasks may go out before a result is kept. Its acknowledgement may not, nor the outcome.
    private mutating func settle(after actions: [CoordinatorAction], at now: Instant) -> [CoordinatorAction] {
        // A source is never held beside `self.source` while that changes: it would be copied.
        guard let isComplete = source?.isComplete else { return actions }
        if isComplete, let complete = source { return actions + abandon() + [.finished(complete)] }
        let place = actions.firstIndex { if case .journal = $0 { true } else { false } } ?? actions.endIndex
        return actions[..<place] + dispatch(at: now) + actions[place...]
    }

    /// Ends the source's work: what workers have queued of it is not wanted any more.
    mutating func abandon() -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for (task, flight) in flights {
            for lease in flight.leases { actions.append(.send(.cancel(task), to: lease.connection)) }
        }
        source = nil
        flights = [:]
        earliestDeadline = nil
        lapsed = [:]
        failures = FailureCounts()
        stalledSince = nil
        return actions
    }

    mutating func fail(_ error: CoordinationError) -> [CoordinatorAction] {
        guard source != nil else { return [] }
        return abandon() + [.fail(error)]
    }

    mutating func newTaskID() -> TaskID {
        lastTask += 1
        return TaskID(lastTask)
    }

    // MARK: Time

    /// A coordinator that was itself stopped for a while must not take its workers' silence for death.
    private mutating func forgiveOwnSleep(until now: Instant) {
        defer { lastEvent = now }
        guard let lastEvent, now - lastEvent > settings.run.heartbeat * 2 else { return }
        let gap = now - lastEvent
        probes.reach(.ownSleepIsForgiven)
        quiet.forgive(gap)
        for connection in peers.keys {
            peers.update(connection) { peer in
                peer.lastHeard = min(now, peer.lastHeard + gap)
                peer.answerBy = peer.answerBy.map { $0 + gap }
            }
        }
    }

    private mutating func tick(at now: Instant) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for (connection, peer) in peers where now - peer.lastHeard > settings.run.silenceLimit {
            probes.reach(.silentWorkerIsGivenUp)
            actions += remove(
                connection, blamed: true, because: "it has been silent for \(settings.run.silenceLimit)",
                at: now)
            actions.append(.close(connection))
        }
        actions += giveUpTheStuck(at: now)
        for (connection, peer) in peers where now - peer.lastSent >= settings.run.heartbeat {
            actions.append(.send(.alive, to: connection))
        }
        return actions + remindOfShards(at: now) + moveShards(at: now) + checkStall(at: now)
            + tellOfQuiet(at: now)
    }

    /// Tells once when nobody has answered for much longer than any of the tasks out was expected to take.
    private mutating func tellOfQuiet(at now: Instant) -> [CoordinatorAction] {
        guard source != nil, !flights.isEmpty else {
            quiet.end(at: now)
            return []
        }
        let leases = flights.flatMap { id, flight in flight.leases.map { (id, $0) } }
        guard let (task, lease) = leases.min(by: { $0.1.handedOut < $1.1.handedOut }),
            let longest = leases.map({ $0.1.deadline - $0.1.handedOut }).max(),
            quiet.isToBeTold(at: now, limit: max(settings.quietLimit, longest * 2))
        else { return [] }
        probes.reach(.nobodyAnswers)
        let owner = peers[lease.connection]?.name(lease.connection) ?? "\(lease.connection)"
        return [
            .log(
                .warning,
                "no worker has answered for \(Int(quiet.length(at: now).inSeconds)) s: \(task) has been at \(owner) for "
                    + "\(Int((now - lease.handedOut).inSeconds)) s, and at most "
                    + "\(Int((lease.deadline - lease.handedOut).inSeconds)) s were expected")
        ]
    }

    private mutating func checkStall(at now: Instant) -> [CoordinatorAction] {
        let someoneLoads = peers.values.contains {
            $0.isLoading && now - $0.since < settings.loadingLimit
        }
        guard source != nil, flights.isEmpty, !someoneLoads else {
            stalledSince = nil
            return []
        }
        guard let since = stalledSince else {
            stalledSince = now
            return []
        }
        let waited = now - since
        guard waited >= settings.noWorkersLimit else { return [] }
        return fail(readyCount == 0 ? .noWorkers(waited: waited) : .noWorkerForShards(waited: waited))
    }
}

/// Since when no worker has answered anything, and whether that was told.
struct Quiet: Sendable {
    private var since: Instant?
    private var isTold = false

    /// Somebody answered, or nobody is asked anything.
    mutating func end(at now: Instant) { (since, isTold) = (now, false) }

    /// Time that does not count, for the coordinator was stopped itself.
    mutating func forgive(_ gap: Duration) { since = since.map { $0 + gap } }

    func length(at now: Instant) -> Duration { since.map { now - $0 } ?? .zero }

    /// Whether it has been quiet for longer than `limit` and this was not told yet.
    mutating func isToBeTold(at now: Instant, limit: Duration) -> Bool {
        if since == nil { since = now }
        guard !isTold, length(at: now) > limit else { return false }
        isTold = true
        return true
    }
}
