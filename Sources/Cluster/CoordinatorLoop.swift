internal import Coordination
internal import Journal
internal import Logging
internal import Work
internal import ZeroMQ

/// What the coordinator's thread does. Lives and dies on that thread.
final class CoordinatorLoop {
    private let configuration: CoordinatorService.Configuration
    private let mailbox: Mailbox<CoordinatorService.Command>
    /// Where workers come to: those from elsewhere, and those that this process starts.
    private let listeners: [CoordinatorListener]
    private let wire: Wire
    private let logger: Logger
    private var clock = PausableClock()
    private var coordinator: Coordinator
    private var continuation: CheckedContinuation<any WorkSource, any Error>?
    /// An error that came while nobody was waiting for work.
    private var pendingError: (any Error)?
    /// What waits for room on the disk.
    private var held = DeferredActions()
    private var pause = RunPause()
    private var advanced = false
    private var isStopping = false
    private var serving = ServeQueue()
    /// Whoever could not be sent to. What they still sent comes first: a worker that says goodbye is not one that broke.
    private var unreachable: [ConnectionID] = []
    private var nextKeyReading = Instant.zero
    private var warnings = RepeatedWarnings()
    /// The last events and actions, for whoever looks for what went wrong.
    private var history = EventHistory()

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
                let isIdle = serving.isEmpty && unreachable.isEmpty
                let lost = unreachable
                unreachable = []
                _ = try poller.wait(timeout: isIdle ? max(.zero, nextTick - clock.real) : .zero)
                // What has arrived comes first: an interruption must not lose it.
                receiveAll()
                for connection in lost { handle(.disconnected(connection)) }
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

    /// Hands the last events on, unless the user ended the work.
    private func writePostMortem(of error: any Error) {
        if case ClusterError.interrupted = error { return }
        if case ClusterError.shutDown = error { return }
        configuration.postMortem?(history.lines + ["\(clock.now) the work ends: \(error)"])
    }

    private func handle(_ event: CoordinatorEvent) {
        history.note(event, at: clock.now)
        let actions = coordinator.handle(event, at: clock.now)
        for action in actions { history.note(action, at: clock.now) }
        for action in actions {
            do {
                if clock.isPaused, DeferredActions.mustWait(action) {
                    held.hold(action)
                } else {
                    try perform(action)
                }
            } catch JournalError.diskFull(let file) {
                beginPause(file: file)
                held.hold(action)
            } catch {
                // The rest of the list would acknowledge what is not kept.
                finish(throwing: error)
                handle(.abandon)
                return
            }
        }
    }
}

/// Tells the state machine what comes from the network; keeps an eye on who may come.
extension CoordinatorLoop {
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
}

/// Does what other threads ask for through the mailbox, and shows them how far the work is.
extension CoordinatorLoop {
    private func perform(_ command: CoordinatorService.Command) {
        switch command {
        case .begin(let source, let continuation): begin(source, continuation)
        case .interrupt:
            endPause()
            finish(throwing: ClusterError.interrupted)
            handle(.abandon)
        case .processEnded(let process):
            for worker in coordinator.workers where worker.hello?.process == process {
                if worker.hello?.host == Machine.hostName { unreachable.append(worker.connection) }
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
        _ source: any WorkSource, _ continuation: CheckedContinuation<any WorkSource, any Error>
    ) {
        guard self.continuation == nil else { return continuation.resume(throwing: ClusterError.busy) }
        if let pendingError {
            self.pendingError = nil
            return continuation.resume(throwing: pendingError)
        }
        do {
            let recorded = try configuration.journal?.records(ofStage: source.stage) ?? []
            self.continuation = continuation
            handle(.begin(source, recorded: recorded))
            advanced = true
        } catch { continuation.resume(throwing: error) }
    }

    /// Shows how far the work is, after every batch of results.
    private func report() {
        guard advanced, let source = coordinator.source else { return }
        advanced = false
        do { try configuration.progress(source) } catch {
            endPause()
            finish(throwing: error)
            handle(.abandon)
        }
    }
}

/// Does what the state machine wants done.
extension CoordinatorLoop {
    private func perform(_ action: CoordinatorAction) throws {
        switch action {
        case .send(let message, let connection):
            if !send(message, to: connection) { unreachable.append(connection) }
        case .journal(let record):
            try configuration.journal?.keep([record])
            advanced = true
        case .note(let numerics): try configuration.journal?.note(numerics)
        case .finished(let source):
            continuation?.resume(returning: source)
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
    private func send(_ message: CoordinatorMessage, to connection: ConnectionID) -> Bool {
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

    /// Ends the work that someone waits for; keeps the error when there is none.
    private func finish(throwing error: any Error) {
        writePostMortem(of: error)
        if let continuation { continuation.resume(throwing: error) } else { pendingError = error }
        continuation = nil
    }

    /// Answers some of those who wait for chunks; then whatever else has arrived comes first again.
    private func serve() {
        for _ in 0..<4 {
            guard let (request, connection) = serving.next() else { return }
            if !send(configuration.library.answer(request), to: connection) {
                serving.remove(connection)
                unreachable.append(connection)
            }
        }
    }
}

/// While the disk is full the run is paused: results are taken in, and neither kept nor acknowledged; nothing new is
/// handed out; workers hear that the coordinator lives. It goes on by itself as soon as there is room.
extension CoordinatorLoop {
    private func beginPause(file: String) {
        guard !clock.isPaused else { return }
        clock.pause()
        pause = RunPause(file: file, nextTry: clock.real + RunPause.tryEvery)
        keepWaiting()
    }

    /// Tries again to keep what waits, and does what was to follow.
    private func goOnIfThereIsRoom() {
        if clock.real >= pause.nextTry {
            pause.nextTry = clock.real + RunPause.tryEvery
            guard !release() else { return }
        }
        keepWaiting()
    }

    /// Ends the pause for whoever stops the work: what there is no room for is not acknowledged, and lost here.
    private func endPause() {
        guard clock.isPaused, !release() else { return }
        held = DeferredActions()
        goOn()
    }

    /// - Returns: whether everything that waited is done.
    private func release() -> Bool {
        var failed = false
        do {
            try held.release { try perform($0) }
        } catch JournalError.diskFull {
            return false
        } catch {
            held = DeferredActions()
            finish(throwing: error)
            failed = true
        }
        goOn()
        if failed { handle(.abandon) }
        return true
    }

    private func goOn() {
        clock.resume()
        pause = RunPause()
        configuration.paused(nil)
    }

    private func keepWaiting() {
        if let file = pause.file, clock.real >= pause.nextNote {
            pause.nextNote = clock.real + RunPause.noteEvery
            configuration.paused(JournalError.pauseNote(file: file))
        }
        if clock.real >= pause.nextAlive {
            pause.nextAlive = clock.real + configuration.settings.run.heartbeat
            for worker in coordinator.workers { _ = send(.alive, to: worker.connection) }
        }
    }
}
