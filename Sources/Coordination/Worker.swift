internal import OrderedCollections

/// A worker's side of a run, as a pure state machine: events in, actions out; no I/O, no clock, no threads.
///
/// It computes one task at a time, keeps every answer until it is acknowledged, and gives its unacknowledged answers
/// again to a coordinator that has lost it from sight.
public struct Worker: Sendable {
    enum Phase: String, Sendable { case disconnected, greeting, loading, ready, stopped }

    /// Who the worker is.
    public let settings: WorkerSettings
    var phase: Phase = .disconnected
    /// The run that the coordinator told of.
    var run: RunDescription?
    /// The run whose files are loaded, or being loaded.
    var files: RunDescription?
    var isLoaded = false
    var shards: [Int] = []
    var proof: [UInt8] = []
    /// Pieces of contents that were asked for and have not come.
    var requests: OrderedSet<ChunkRequest> = []
    var queue: [WorkOrder] = []
    var computing: (order: WorkOrder, run: RunDescription, since: Instant)?
    /// Answers that the coordinator has not acknowledged.
    var unacknowledged = KeptAnswers()
    /// When `ready` was sent to a coordinator that has not shown yet that it knows; `nil` once it has.
    var readySentAt: Instant?
    var computedCount: UInt64 = 0
    var failedConnections = 0
    var lastHeard: Instant = .zero
    var lastSent: Instant = .zero
    /// When the coordinator last said something, on whatever connection.
    var lastMessage: Instant?
    var lastEvent: Instant?
    /// Seldom reached places, for a simulation.
    package internal(set) var probes = ProbeCounts()

    /// A worker that is not connected yet.
    public init(_ settings: WorkerSettings) { self.settings = settings }

    /// Whether the worker's work is over.
    public var isStopped: Bool { phase == .stopped }
    /// Answers to this coordinator's tasks that it has not acknowledged yet.
    public var answersKept: Int { unacknowledged.ownCount }
    /// Tasks that were computed.
    public var computed: UInt64 { computedCount }

    /// Takes in what happened at `now`, which never goes back.
    ///
    /// - Returns: what is to be done, in this order.
    public mutating func handle(_ event: WorkerEvent, at now: Instant) -> [WorkerAction] {
        guard phase != .stopped else { return [] }
        forgiveOwnSleep(until: now)
        var actions: [WorkerAction] = []
        switch event {
        case .connected:
            phase = .greeting
            lastHeard = now
            actions = [.send(.hello(settings.hello))]
        case .received(let message):
            guard phase != .disconnected else { return [] }
            lastHeard = now
            lastMessage = now
            failedConnections = 0
            actions = receive(message, at: now)
        case .malformed(let error): actions = misunderstand(error)
        case .loaded(let run, let shards, let proof):
            actions = finishLoading(run, shards: shards, proof: proof, at: now)
        case .holds(let shards):
            self.shards = shards
            if phase == .ready { actions = [.send(.ready(shards: shards, proof: proof))] }
        case .request(let request): actions = ask(for: request)
        case .loadFailed(let run, let reason):
            guard let files, run.needsTheSameFiles(as: files) else { return [] }
            actions = stop(.cannotLoad(reason: reason), saying: .goodbye(reason: reason, failed: true))
        case .computed(let id, let result, let seconds):
            computedCount += 1
            actions = answer(id, .result(TaskResult(id: id, result: result, seconds: seconds)), at: now)
        case .computeFailed(let id, let reason, let isPermanent):
            actions = answer(
                id, .failed(TaskFailure(id: id, reason: reason, isPermanent: isPermanent)), at: now)
        case .tick: actions = tick(at: now)
        case .terminate:
            actions = stop(.terminated, saying: .goodbye(reason: "it was asked to end", failed: false))
        }
        if phase != .stopped { actions += computeNext(at: now) }
        if actions.contains(where: { if case .send = $0 { true } else { false } }) { lastSent = now }
        return actions
    }
}
