internal import OrderedCollections

/// A worker's side of a run, as a pure state machine: events in, actions out; no I/O, no clock, no threads.
///
/// It computes one task at a time, keeps every answer until it is acknowledged, and gives its unacknowledged answers
/// again to a coordinator that has lost it from sight.
public struct Worker: Sendable {
    private enum Phase: String, Sendable { case disconnected, greeting, loading, ready, stopped }

    /// Who the worker is.
    public let settings: WorkerSettings
    private var phase: Phase = .disconnected
    /// The run that the coordinator told of.
    private var run: RunDescription?
    /// The run whose files are loaded, or being loaded.
    private var files: RunDescription?
    private var isLoaded = false
    private var shards: [Int] = []
    private var proof: [UInt8] = []
    /// Pieces of contents that were asked for and have not come.
    private(set) var requests: OrderedSet<ChunkRequest> = []
    private var queue: [WorkOrder] = []
    private var computing: (order: WorkOrder, run: RunDescription, since: Instant)?
    /// Answers that the coordinator has not acknowledged.
    private var unacknowledged = KeptAnswers()
    /// When `ready` was sent to a coordinator that has not shown yet that it knows; `nil` once it has.
    private var readySentAt: Instant?
    private var computedCount: UInt64 = 0
    /// What keeps the worker from working.
    private var trouble: String?
    private var failedConnections = 0
    private var lastHeard: Instant = .zero
    private var lastSent: Instant = .zero
    /// When the coordinator last said something, on whatever connection.
    private var lastMessage: Instant?
    private var lastEvent: Instant?
    /// Seldom reached places, for a simulation.
    package private(set) var probes = ProbeCounts()

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
        case .troubled(let reason): actions = note(trouble: reason)
        case .malformed(let error): actions = misunderstand(error)
        case .connectionBroken(let reason):
            guard phase != .disconnected else { return [] }
            probes.reach(.connectionBreaks)
            actions = reconnect(because: "the connection broke: \(reason)")
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

/// What a worker does about each message of the coordinator.
extension Worker {
    private mutating func receive(_ message: CoordinatorMessage, at now: Instant) -> [WorkerAction] {
        switch message {
        case .alive, .status: return []
        case .welcome(let run): return welcome(run, at: now)
        case .refused(let reason): return stop(.refused(reason: reason))
        case .stop(let reason): return stop(.finished(reason: reason))
        case .introduce:
            return introduceAgain()
        case .acknowledged(let id):
            unacknowledged.acknowledge(id)
            return []
        case .task(let order):
            readySentAt = nil
            return enqueue(order)
        case .cancel(let task):
            let dropped = queue.filter { $0.id.task == task }
            queue.removeAll { $0.id.task == task }
            if !dropped.isEmpty { probes.reach(.queuedTaskIsDropped) }
            return dropped.map { .send(.cancelled($0.id)) }
        case .hold(let shards): return phase == .ready ? [.hold(shards)] : []
        case .chunk(let chunk): return take(chunk)
        case .missing(let sha256, let reason): return giveUp(sha256, because: reason)
        }
    }

    private mutating func noteHandovers(_ count: Int) {
        for _ in 0..<count { probes.reach(.answerBecomesHandover) }
    }

    private mutating func introduceAgain() -> [WorkerAction] {
        // One hello is on its way already.
        guard phase != .greeting else { return [] }
        phase = .greeting
        queue = []
        return [.send(.hello(settings.hello))]
    }

    /// The coordinator has given back whatever it thought that this worker had.
    private mutating func welcome(_ run: RunDescription, at now: Instant) -> [WorkerAction] {
        if let old = self.run, !run.needsTheSameFiles(as: old) { unacknowledged.removeAll() }
        noteHandovers(unacknowledged.handOver(to: run.session))
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
        return isLoaded ? becomeReady(at: now) : askAgain()
    }

    /// Answers go first, so that nobody is given again what they hold.
    private mutating func becomeReady(at now: Instant) -> [WorkerAction] {
        phase = .ready
        readySentAt = now
        return unacknowledged.all(at: now, pause: resendPause).map { .send($0) } + [
            .send(.ready(shards: shards, proof: proof))
        ] + askAgain()
    }

    private var resendPause: Duration { run?.silenceLimit ?? settings.greetingLimit }

    private mutating func misunderstand(_ error: WireError) -> [WorkerAction] {
        if case .wrongVersion = error {
            return stop(
                .misunderstood(error), saying: .goodbye(reason: "\(error)", failed: true))
        }
        let warning = WorkerAction.log(
            .warning, "something that is no message came from the coordinator: \(error)")
        // Whatever was lost, a new hello makes both sides agree again.
        return phase == .disconnected ? [warning] : [warning] + introduceAgain()
    }
}

/// A worker asks for pieces of contents until they come, over whatever connection.
extension Worker {
    private mutating func ask(for request: ChunkRequest) -> [WorkerAction] {
        requests.append(request)
        return phase == .loading || phase == .ready ? [.send(.fetch(request))] : []
    }

    /// What was asked for on another connection does not come on this one.
    private func askAgain() -> [WorkerAction] { requests.map { .send(.fetch($0)) } }

    private mutating func take(_ chunk: Chunk) -> [WorkerAction] {
        let request = ChunkRequest(sha256: chunk.sha256, offset: chunk.offset, count: chunk.bytes.count)
        // One that nobody waits for was sent twice.
        return requests.remove(request) == nil ? [] : [.deliver(chunk)]
    }

    private mutating func giveUp(_ sha256: [UInt8], because reason: String) -> [WorkerAction] {
        let wanted = requests.count
        requests.removeAll { $0.sha256 == sha256 }
        return requests.count == wanted ? [] : [.missing(sha256: sha256, reason: reason)]
    }
}

/// How a worker comes to its tasks, computes them one by one, and answers.
extension Worker {
    /// More tasks than any credit allows for.
    private static let longestQueue = 64

    private mutating func enqueue(_ order: WorkOrder) -> [WorkerAction] {
        let id = order.id
        // A coordinator that has yet to see the last hello takes the task back by itself when it does.
        guard phase == .ready, let run, run.numbers(id.task) else { return [] }
        guard queue.count < Self.longestQueue else {
            let failure = TaskFailure(id: id, reason: "too many tasks are queued", isPermanent: false)
            return [.send(.failed(failure))]
        }
        if let answer = unacknowledged.message(for: id) { return [.send(answer)] }
        guard computing?.order.id != id, !queue.contains(where: { $0.id == id }) else { return [] }
        queue.append(order)
        return []
    }

    private mutating func finishLoading(
        _ run: RunDescription, shards: [Int], proof: [UInt8], at now: Instant
    )
        -> [WorkerAction]
    {
        guard let files, run.needsTheSameFiles(as: files), !isLoaded else { return [] }
        isLoaded = true
        self.shards = shards
        self.proof = proof
        return phase == .loading ? becomeReady(at: now) : []
    }

    private mutating func computeNext(at now: Instant) -> [WorkerAction] {
        guard phase == .ready, computing == nil, let run, let next = queue.first else { return [] }
        queue.removeFirst()
        computing = (next, run, now)
        return [.compute(next)]
    }

    private mutating func answer(_ id: AttemptID, _ message: WorkerMessage, at now: Instant)
        -> [WorkerAction]
    {
        guard let current = computing, current.order.id == id else { return [] }
        computing = nil
        guard let run, run.needsTheSameFiles(as: current.run) else { return [] }
        unacknowledged.keep(
            message, to: current.order, session: current.run.session, at: now, pause: resendPause)
        noteHandovers(unacknowledged.handOver(to: run.session))
        guard phase == .ready, let kept = unacknowledged.message(for: id) else { return [] }
        return [.send(kept)]
    }

    private mutating func stop(_ ending: WorkerEnding, saying message: WorkerMessage? = nil) -> [WorkerAction]
    {
        let canSpeak = phase != .disconnected
        phase = .stopped
        queue = []
        return (canSpeak ? message.map { [.send($0)] } ?? [] : []) + [.stop(ending)]
    }
}

/// What a worker does about time that passes: signs of life, answers that get lost, a coordinator that is silent.
extension Worker {
    private mutating func tick(at now: Instant) -> [WorkerAction] {
        let since = lastMessage ?? now
        lastMessage = since
        if let limit = settings.coordinatorLimit, now - since > limit {
            return stop(.noCoordinator(waited: now - since))
        }
        guard phase != .disconnected else { return [] }
        let limit = phase == .greeting ? settings.greetingLimit : run?.silenceLimit ?? settings.greetingLimit
        if now - lastHeard > limit { return reconnect(because: "no coordinator answers") }
        if let stuck = giveUpIfStuck(at: now) { return stuck }
        guard phase != .greeting else { return [] }
        var messages: [WorkerMessage] = []
        if phase == .ready {
            messages = unacknowledged.overdue(at: now)
            if !messages.isEmpty { probes.reach(.answerIsRepeated) }
            if let sent = readySentAt, now - sent > resendPause {
                readySentAt = now
                messages.append(.ready(shards: shards, proof: proof))
            }
        }
        if messages.isEmpty, let heartbeat = run?.heartbeat, now - lastSent >= heartbeat {
            messages = [trouble.map { .waiting(reason: $0) } ?? .alive(computed: computedCount)]
        }
        return messages.map { .send($0) }
    }

    /// Tells the coordinator, and whoever reads the log, once.
    private mutating func note(trouble new: String?) -> [WorkerAction] {
        guard trouble != new else { return [] }
        trouble = new
        let told: WorkerAction =
            new.map { .log(.warning, "waiting: \($0)") } ?? .log(.warning, "going on")
        guard phase == .loading || phase == .ready else { return [told] }
        return [told, .send(new.map { .waiting(reason: $0) } ?? .alive(computed: computedCount))]
    }

    /// A computation cannot be stopped from outside. One that does not end in many times its lease's time ends the
    /// process, so that whoever looks after it starts another.
    private mutating func giveUpIfStuck(at now: Instant) -> [WorkerAction]? {
        guard let (order, run, since) = computing, now - since > run.patience(with: order.deadline)
        else { return nil }
        probes.reach(.workerGivesUpComputation)
        let reason = "it was not computed in \(Int((now - since).inSeconds)) s"
        let failure = TaskFailure(id: order.id, reason: reason, isPermanent: false)
        let isKnown = phase == .ready && run.session == self.run?.session
        return [.log(.error, "\(order.id.task): \(reason)")]
            + (isKnown ? [.send(.failed(failure))] : [])
            + stop(
                .stuck(order.id.task, reason: reason),
                saying: .goodbye(reason: "\(order.id.task): \(reason)", failed: false))
    }

    /// The coordinator is silent: it may be gone, or come back under the same address.
    private mutating func reconnect(because reason: String) -> [WorkerAction] {
        probes.reach(.workerLooksForCoordinator)
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
            .log(level, "\(reason); trying again"),
            .reconnect(after: .clamped(seconds: pause)),
        ]
    }

    /// A worker that was itself stopped for a while must not take that for the coordinator's silence.
    private mutating func forgiveOwnSleep(until now: Instant) {
        defer { lastEvent = now }
        guard let lastEvent, let run, now - lastEvent > run.heartbeat * 2 else { return }
        probes.reach(.workerForgivesOwnSleep)
        lastHeard = min(now, lastHeard + (now - lastEvent))
        if let since = computing?.since { computing?.since = min(now, since + (now - lastEvent)) }
    }
}

extension Worker {
    /// Checks what must hold after every event. Tests call it each time; a run need not.
    ///
    /// - Throws: `InvariantViolation` with every promise that does not hold.
    public func validateState() throws(InvariantViolation) {
        var problems: [String] = []
        let owned = queue.map(\.id) + unacknowledged.ids + (computing.map { [$0.order.id] } ?? [])
        if phase != .stopped, Set(owned).count != owned.count { problems.append("a task is there twice") }
        if queue.count > Self.longestQueue || unacknowledged.count > KeptAnswers.limit {
            problems.append("\(queue.count) tasks and \(unacknowledged.count) answers are kept")
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
