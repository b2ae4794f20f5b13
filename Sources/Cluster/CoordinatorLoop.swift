internal import Coordination
internal import Journal
internal import Logging
internal import Search
internal import ZeroMQ

/// What the coordinator's thread does. Lives and dies on that thread.
final class CoordinatorLoop {
    let configuration: CoordinatorService.Configuration
    private let mailbox: Mailbox<CoordinatorService.Command>
    /// Where workers come to: those from elsewhere, and those that this process starts.
    private let listeners: [CoordinatorListener]
    private let wire: Wire
    private let logger: Logger
    var clock = PausableClock()
    private(set) var coordinator: Coordinator
    private var continuation: CheckedContinuation<LevelOutcome, any Error>?
    /// An error that came while nobody was waiting for a level.
    private var pendingError: (any Error)?
    /// What waits for room on the disk.
    var held = HeldActions()
    var pause = RunPause()
    private var advanced = false
    private var isStopping = false
    private var serving = ServeQueue()
    private var nextKeyReading = Instant.zero
    private var warnings = RepeatedWarnings()

    /// Where workers connect, with the port that the system chose.
    var endpoint: String { listeners[0].endpoint }

    init(_ configuration: CoordinatorService.Configuration, mailbox: Mailbox<CoordinatorService.Command>)
        throws
    {
        self.configuration = configuration
        self.mailbox = mailbox
        logger = configuration.logger
        wire = Wire(limits: configuration.limits)
        coordinator = Coordinator(configuration.settings)
        let context = try configuration.context ?? Context()
        var listeners = [
            try CoordinatorListener(
                configuration.endpoint, number: 0, keys: configuration.keys, context: context,
                limits: configuration.limits, logger: logger)
        ]
        if let local = configuration.localEndpoint {
            listeners.append(
                try CoordinatorListener(
                    local, number: 1, keys: nil, context: context, limits: configuration.limits,
                    logger: logger))
        }
        self.listeners = listeners
    }

    /// Runs until told to stop.
    func run(publish: (Coordinator) -> Void) {
        var poller = Poller()
        for listener in listeners { listener.add(to: &poller) }
        _ = poller.add(mailbox.wakeup)
        let pulse = min(configuration.settings.run.heartbeat / 4, .milliseconds(250))
        var nextTick = clock.real
        var published = -1
        var nextPublishing = nextTick
        while !isStopping {
            do {
                _ = try poller.wait(timeout: serving.isEmpty ? max(.zero, nextTick - clock.real) : .zero)
                // What has arrived comes first: an interruption must not lose it.
                receiveAll()
                try watchHandshakes()
            } catch {
                finish(throwing: error)
                return
            }
            serve()
            for command in mailbox.drain() { perform(command) }
            if clock.real >= nextTick {
                if clock.isPaused { goOnIfThereIsRoom() } else { handle(.tick) }
                readKeys()
                nextTick = clock.real + pulse
            }
            // With many workers this costs more than a task: at once only when somebody came or went.
            if coordinator.membership != published || nextPublishing <= clock.real {
                publish(coordinator)
                published = coordinator.membership
                nextPublishing = clock.real + .milliseconds(200)
            }
            report()
        }
        for listener in listeners { listener.close() }
    }

    func handle(_ event: CoordinatorEvent) {
        var events = [event]
        while !events.isEmpty {
            let actions = coordinator.handle(events.removeFirst(), at: clock.now)
            for action in actions {
                do {
                    if clock.isPaused, HeldActions.mustWait(action) {
                        held.hold(action)
                    } else {
                        try perform(action, &events)
                    }
                } catch JournalError.diskFull(let file) {
                    beginPause(file: file)
                    held.hold(action)
                } catch {
                    // The rest of the list would acknowledge what is not kept.
                    finish(throwing: error)
                    events = [.abandon]
                    break
                }
            }
        }
    }

    // MARK: Actions

    func perform(_ action: CoordinatorAction, _ events: inout [CoordinatorEvent]) throws {
        switch action {
        case .send(let message, let connection):
            if !send(message, to: connection) { events.append(.disconnected(connection)) }
        case .journal(let task, let scores, let level):
            try configuration.journal?.record(task, scores, level: level)
            advanced = true
        case .levelFinished(let outcome):
            continuation?.resume(returning: outcome)
            continuation = nil
        case .fail(let error): finish(throwing: error)
        // A ROUTER cannot close one connection; whoever is still there is asked to introduce itself.
        case .close(let connection): serving.remove(connection)
        case .serve(let request, let connection): serving.add(request, from: connection)
        case .report(let connection):
            _ = send(.status(json: configuration.status()), to: connection)
        case .log(let level, let text): logger.log(level: Logger.Level(level), "\(text)")
        }
    }

    /// - Returns: whether the peer is still there.
    func send(_ message: CoordinatorMessage, to connection: ConnectionID) -> Bool {
        do {
            let bytes = try wire.encode(message)
            guard let listener = listeners.first(where: { $0.owns(connection) }) else { return false }
            return try listener.send(bytes, to: connection)
        } catch {
            if (error as? ZeroMQError)?.isUnroutable != true {
                logger.warning("a message was not sent: \(error)")
            }
            return false
        }
    }

    /// Ends the level that someone waits for; keeps the error when there is none.
    func finish(throwing error: any Error) {
        if let continuation { continuation.resume(throwing: error) } else { pendingError = error }
        continuation = nil
    }

    /// Answers some of those who wait for chunks; then whatever else has arrived comes first again.
    private func serve() {
        for _ in 0..<4 {
            guard let (request, connection) = serving.next() else { return }
            if !send(configuration.library.answer(request), to: connection) {
                serving.remove(connection)
                handle(.disconnected(connection))
            }
        }
    }

    // MARK: Events

    private func receiveAll() {
        for listener in listeners { receiveAll(from: listener) }
    }

    private func receiveAll(from listener: CoordinatorListener) {
        // Bounded, so that a flood cannot keep the thread from everything else.
        for _ in 0..<10_000 {
            do throws(ZeroMQError) {
                guard let (connection, frames) = try listener.receive() else { return }
                guard frames.count == 1 else {
                    handle(.malformed(.malformed, from: connection))
                    continue
                }
                do throws(WireError) {
                    handle(.received(try wire.decodeWorkerMessage(frames[0].data), from: connection))
                } catch {
                    logger.warning("connection \(connection): \(error)")
                    handle(.malformed(error, from: connection))
                }
            } catch {
                logger.warning("\(error)")
                if error.isContextTerminated { return }
            }
        }
    }

    private func watchHandshakes() throws {
        for listener in listeners { try listener.watchHandshakes { warn($0) } }
    }

    /// Lets in workers whose keys were added, and no more those whose keys were taken away.
    private func readKeys() {
        guard let folder = configuration.keys?.folder, clock.real >= nextKeyReading else { return }
        nextKeyReading = clock.real + .seconds(2)
        do throws(ClusterError) { listeners[0].replaceAllowed(by: try KeyFiles.publicKeys(in: folder)) } catch
        {
            warn("\(error)")
        }
    }

    private func warn(_ text: String) {
        if warnings.isDue(text, at: clock.real) { logger.warning("\(text)") }
    }

    private func perform(_ command: CoordinatorService.Command) {
        switch command {
        case .begin(let level, let division, let usesBounds, let continuation):
            begin(level, division, usesBounds: usesBounds, continuation)
        case .interrupt:
            endPause()
            finish(throwing: ClusterError.interrupted)
            handle(.abandon)
        case .processEnded(let process):
            for worker in coordinator.workers where worker.hello?.process == process {
                if worker.hello?.host == Machine.hostName { handle(.disconnected(worker.connection)) }
            }
        case .fail(let error):
            endPause()
            finish(throwing: error)
            handle(.abandon)
        case .stop(let reason):
            endPause()
            handle(.stop(reason: reason))
            if continuation != nil { finish(throwing: ClusterError.shutDown) }
            isStopping = true
        }
    }

    private func begin(
        _ level: Level, _ division: SampleDivision, usesBounds: Bool,
        _ continuation: CheckedContinuation<LevelOutcome, any Error>
    ) {
        guard self.continuation == nil else { return continuation.resume(throwing: ClusterError.busy) }
        if let pendingError {
            self.pendingError = nil
            return continuation.resume(throwing: pendingError)
        }
        do {
            let recorded = try configuration.journal?.results(of: level) ?? []
            self.continuation = continuation
            handle(.begin(level, division: division, usesBounds: usesBounds, recorded: recorded))
            advanced = true
        } catch { continuation.resume(throwing: error) }
    }

    /// Shows how far the level is, after every batch of results.
    private func report() {
        guard advanced, let race = coordinator.race else { return }
        advanced = false
        do { try configuration.progress(race) } catch {
            endPause()
            finish(throwing: error)
            handle(.abandon)
        }
    }
}
