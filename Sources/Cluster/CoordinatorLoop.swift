internal import Coordination
internal import Foundation
internal import Glibc
internal import Journal
internal import Logging
internal import Search
internal import ZeroMQ

/// What the coordinator's thread does. Lives and dies on that thread.
final class CoordinatorLoop {
    let configuration: CoordinatorService.Configuration
    private let mailbox: Mailbox<CoordinatorService.Command>
    private let socket: Socket
    private let monitor: SocketMonitor
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
    private let authenticator: ZAPAuthenticator?
    private var nextKeyReading = Instant.zero
    private var warnings = RepeatedWarnings()

    /// Where workers connect, with the port that the system chose.
    let endpoint: String

    init(_ configuration: CoordinatorService.Configuration, mailbox: Mailbox<CoordinatorService.Command>)
        throws
    {
        self.configuration = configuration
        self.mailbox = mailbox
        logger = configuration.logger
        wire = Wire(limits: configuration.limits)
        coordinator = Coordinator(configuration.settings)
        let context = try configuration.context ?? Context()
        socket = try Socket(.router, in: context)
        try Transport.configure(socket, frameBytes: configuration.limits.workerFrameBytes)
        // Without this a message to a worker that is gone would be dropped without a word.
        try socket.set(.routerMandatory, true)
        if let keys = configuration.keys {
            let authenticator = try ZAPAuthenticator(context: context, allowed: keys.allowed) {
                [logger] denial in
                logger.warning("a peer at \(denial.address) was turned away: its key is not on the list")
            }
            try socket.useCurve(secretKey: keys.secretKey, authenticator: authenticator)
            self.authenticator = authenticator
        } else {
            authenticator = nil
        }
        monitor = try socket.monitor()
        if configuration.endpoint.contains("[") { try socket.set(.ipv6, true) }
        try socket.bind(to: Transport.bindable(configuration.endpoint))
        endpoint = (try? socket.get(.lastEndpoint)) ?? configuration.endpoint
    }

    /// Runs until told to stop.
    func run(publish: (Coordinator) -> Void) {
        var poller = Poller()
        _ = poller.add(socket)
        _ = poller.add(monitor.socket)
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
        socket.close()
        // libzmq leaves the file of a Unix socket behind.
        if endpoint.hasPrefix("ipc:///") { unlink(String(endpoint.dropFirst("ipc://".count))) }
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
            return try socket.send([Frame(connection.bytes), Frame(bytes)]) == .sent
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
        // Bounded, so that a flood cannot keep the thread from everything else.
        for _ in 0..<10_000 {
            do throws(ZeroMQError) {
                guard let frames = try socket.receive() else { return }
                guard frames.count == 2 else {
                    handle(.malformed(.malformed, from: ConnectionID(frames[0].bytes)))
                    continue
                }
                let connection = ConnectionID(frames[0].bytes)
                do throws(WireError) {
                    handle(.received(try wire.decodeWorkerMessage(frames[1].data), from: connection))
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
        while let event = try monitor.next() {
            if case .handshakeFailed(let failure) = event.kind {
                warn("a peer could not connect to \(event.endpoint): \(failure)")
            }
        }
    }

    /// Lets in workers whose keys were added, and no more those whose keys were taken away.
    private func readKeys() {
        guard let folder = configuration.keys?.folder, let authenticator, clock.real >= nextKeyReading
        else { return }
        nextKeyReading = clock.real + .seconds(2)
        do throws(ClusterError) {
            let keys = try KeyFiles.publicKeys(in: folder)
            if keys != authenticator.allowed { authenticator.replaceAllowed(by: keys) }
        } catch { warn("\(error)") }
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
