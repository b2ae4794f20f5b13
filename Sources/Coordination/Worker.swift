internal import OrderedCollections
internal import Datasets

/// A worker's side of a run, as a pure state machine: events in, actions out; no I/O, no clock, no threads.
///
/// It computes one task at a time, keeps every answer until it is acknowledged, and gives its unacknowledged answers
/// again to a coordinator that has lost it from sight.
public struct Worker: Sendable {
    enum Phase: String, Sendable { case disconnected, greeting, loading, ready, stopped }

    /// Who the worker is.
    public let settings: WorkerSettings
    private(set) var phase: Phase = .disconnected
    /// The run that the coordinator told of.
    private(set) var run: RunDescription?
    /// The run whose files are loaded, or being loaded.
    private var files: RunDescription?
    private(set) var isLoaded = false
    private var shards: [Int] = []
    private var proof: [UInt8] = []
    /// Pieces of contents that were asked for and have not come.
    var requests: OrderedSet<ChunkRequest> = []
    private(set) var queue: [Assignment] = []
    private(set) var computing: (assignment: Assignment, session: UInt64)?
    /// Answers that the coordinator has not acknowledged.
    private(set) var unacknowledged: OrderedDictionary<AttemptID, WorkerMessage> = [:]
    private var computedCount: UInt64 = 0
    private var failedConnections = 0
    private var lastHeard: Instant = .zero
    private var lastSent: Instant = .zero
    /// When the coordinator last said something, on whatever connection.
    private var lastMessage: Instant?
    private var lastEvent: Instant?

    /// A worker that is not connected yet.
    public init(_ settings: WorkerSettings) { self.settings = settings }

    /// Whether the worker's work is over.
    public var isStopped: Bool { phase == .stopped }
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
            actions = receive(message)
        case .malformed(let error): actions = misunderstand(error)
        case .loaded(let run, let shards, let proof):
            actions = finishLoading(run, shards: shards, proof: proof)
        case .holds(let shards):
            self.shards = shards
            if phase == .ready { actions = [.send(.ready(shards: shards, proof: proof))] }
        case .request(let request): actions = ask(for: request)
        case .loadFailed(let run, let reason):
            guard let files, run.needsTheSameFiles(as: files) else { return [] }
            actions = stop(.cannotLoad(reason: reason), saying: .goodbye(reason: reason, failed: true))
        case .computed(let id, let scores, let seconds):
            computedCount += 1
            actions = answer(id, .result(TaskResult(id: id, scores: scores, seconds: seconds)))
        case .computeFailed(let id, let reason, let isPermanent):
            actions = answer(id, .failed(TaskFailure(id: id, reason: reason, isPermanent: isPermanent)))
        case .tick: actions = tick(at: now)
        case .terminate:
            actions = stop(.terminated, saying: .goodbye(reason: "it was asked to end", failed: false))
        }
        if phase != .stopped { actions += computeNext() }
        if actions.contains(where: { if case .send = $0 { true } else { false } }) { lastSent = now }
        return actions
    }

    // MARK: Messages

    private mutating func receive(_ message: CoordinatorMessage) -> [WorkerAction] {
        switch message {
        case .alive: return []
        case .welcome(let run): return welcome(run)
        case .refused(let reason): return stop(.refused(reason: reason))
        case .stop(let reason): return stop(.finished(reason: reason))
        case .introduce:
            // One hello is on its way already.
            guard phase != .greeting else { return [] }
            phase = .greeting
            queue = []
            return [.send(.hello(settings.hello))]
        case .acknowledged(let id):
            unacknowledged[id] = nil
            return []
        case .task(let assignment): return enqueue(assignment)
        case .cancel(let task):
            let dropped = queue.filter { $0.id.task == task }
            queue.removeAll { $0.id.task == task }
            return dropped.map { .send(.cancelled($0.id)) }
        case .hold(let shards): return phase == .ready ? [.hold(shards)] : []
        case .chunk(let chunk): return take(chunk)
        case .missing(let sha256, let reason): return giveUp(sha256, because: reason)
        }
    }

    /// The coordinator has given back whatever it thought that this worker had.
    private mutating func welcome(_ run: RunDescription) -> [WorkerAction] {
        if run.session != self.run?.session { unacknowledged = [:] }
        queue = []
        self.run = run
        guard let files, run.needsTheSameFiles(as: files) else {
            self.files = run
            isLoaded = false
            phase = .loading
            requests = []
            return [.load(run)]
        }
        phase = .loading
        // What was asked for on another connection does not come on this one.
        return isLoaded ? becomeReady() : askAgain()
    }

    private mutating func becomeReady() -> [WorkerAction] {
        phase = .ready
        return [.send(.ready(shards: shards, proof: proof))] + unacknowledged.values.map { .send($0) }
            + askAgain()
    }

    /// More tasks than any credit allows for.
    private static let longestQueue = 64

    private mutating func enqueue(_ assignment: Assignment) -> [WorkerAction] {
        let id = assignment.id
        guard phase == .ready, queue.count < Self.longestQueue else {
            return [
                .send(
                    .failed(TaskFailure(id: id, reason: "the worker is not ready for it", isPermanent: false))
                )
            ]
        }
        if let answer = unacknowledged[id] { return [.send(answer)] }
        guard computing?.assignment.id != id, !queue.contains(where: { $0.id == id }) else { return [] }
        queue.append(assignment)
        return []
    }

    // MARK: Work

    private mutating func finishLoading(_ run: RunDescription, shards: [Int], proof: [UInt8])
        -> [WorkerAction]
    {
        guard let files, run.needsTheSameFiles(as: files), !isLoaded else { return [] }
        isLoaded = true
        self.shards = shards
        self.proof = proof
        return phase == .loading ? becomeReady() : []
    }

    private mutating func computeNext() -> [WorkerAction] {
        guard phase == .ready, computing == nil, let run, let next = queue.first else { return [] }
        queue.removeFirst()
        computing = (next, run.session)
        return [.compute(next)]
    }

    private mutating func answer(_ id: AttemptID, _ message: WorkerMessage) -> [WorkerAction] {
        guard let current = computing, current.assignment.id == id else { return [] }
        computing = nil
        // Another coordinator's tasks have other numbers.
        guard current.session == run?.session else { return [] }
        unacknowledged[id] = message
        return phase == .ready ? [.send(message)] : []
    }

    private mutating func stop(_ ending: WorkerEnding, saying message: WorkerMessage? = nil) -> [WorkerAction]
    {
        let canSpeak = phase != .disconnected
        phase = .stopped
        queue = []
        return (canSpeak ? message.map { [.send($0)] } ?? [] : []) + [.stop(ending)]
    }

    private mutating func misunderstand(_ error: WireError) -> [WorkerAction] {
        if case .wrongVersion = error {
            return stop(
                .misunderstood(error), saying: .goodbye(reason: "\(error)", failed: true))
        }
        return [.log(.warning, "something that is no message came from the coordinator: \(error)")]
    }

    // MARK: Time

    private mutating func tick(at now: Instant) -> [WorkerAction] {
        let since = lastMessage ?? now
        lastMessage = since
        if let limit = settings.coordinatorLimit, now - since > limit {
            return stop(.noCoordinator(waited: now - since))
        }
        guard phase != .disconnected else { return [] }
        let limit = phase == .greeting ? settings.greetingLimit : run?.silenceLimit ?? settings.greetingLimit
        if now - lastHeard > limit { return reconnect() }
        guard phase != .greeting, let heartbeat = run?.heartbeat, now - lastSent >= heartbeat else {
            return []
        }
        return [.send(.alive(computed: computedCount))]
    }

    /// The coordinator is silent: it may be gone, or come back under the same address.
    private mutating func reconnect() -> [WorkerAction] {
        phase = .disconnected
        queue = []
        let doublings = min(failedConnections, 20)
        failedConnections += 1
        // Whoever started the worker too early, or with a wrong address, should see why nothing happens.
        let level: LogLevel = [3, 30].contains(failedConnections) ? .warning : .info
        let longest = min(
            settings.firstPause.inSeconds * Double(1 << doublings), settings.longestPause.inSeconds)
        // Spread between half and all of it by identity and try, so that a thousand workers do not come at once.
        let mixed = (settings.hello.identity.low &+ UInt64(failedConnections)) &* 0x9E37_79B9_7F4A_7C15
        let pause = longest * (0.5 + Double(mixed >> 33) / Double(1 << 32))
        return [
            .log(level, "no coordinator answers; trying again"),
            .reconnect(after: .clamped(seconds: pause)),
        ]
    }

    /// A worker that was itself stopped for a while must not take that for the coordinator's silence.
    private mutating func forgiveOwnSleep(until now: Instant) {
        defer { lastEvent = now }
        guard let lastEvent, let run, now - lastEvent > run.heartbeat * 2 else { return }
        lastHeard = min(now, lastHeard + (now - lastEvent))
    }

    // MARK: Validation

    /// Checks what must hold after every event. Tests call it each time; a run need not.
    ///
    /// - Throws: `InvariantViolation` with every promise that does not hold.
    public func validateState() throws(InvariantViolation) {
        var problems: [String] = []
        let owned = queue.map(\.id) + unacknowledged.keys + (computing.map { [$0.assignment.id] } ?? [])
        if phase != .stopped, computing == nil || computing?.session == run?.session,
            Set(owned).count != owned.count
        {
            problems.append("a task is there twice")
        }
        if phase != .ready && !queue.isEmpty {
            problems.append("tasks are queued while the worker is \(phase)")
        }
        if phase == .ready && !isLoaded { problems.append("the worker is ready and nothing is loaded") }
        if phase == .ready && computing == nil && !queue.isEmpty {
            problems.append("tasks wait and none is computed")
        }
        guard problems.isEmpty else { throw InvariantViolation(problems: problems) }
    }
}
