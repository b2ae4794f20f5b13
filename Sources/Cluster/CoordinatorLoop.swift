internal import Coordination
internal import Journal
internal import Logging
internal import Work
internal import ZeroMQ

/// What the coordinator's thread does. Lives and dies on that thread.
final class CoordinatorLoop {
    let configuration: CoordinatorService.Configuration
    private let mailbox: Mailbox<CoordinatorService.Command>
    /// Where workers come to: those from elsewhere, and those that this process starts.
    let listeners: [CoordinatorListener]
    let wire: Wire
    let logger: Logger
    var clock = PausableClock()
    private(set) var coordinator: Coordinator
    var continuation: CheckedContinuation<any WorkSource, any Error>?
    /// An error that came while nobody was waiting for work.
    var pendingError: (any Error)?
    /// What waits for room on the disk.
    var held = DeferredActions()
    var pause = RunPause()
    var advanced = false
    var isStopping = false
    var serving = ServeQueue()
    var nextKeyReading = Instant.zero
    var warnings = RepeatedWarnings()
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

    /// Hands the last events on, unless the user ended the work.
    func writePostMortem(of error: any Error) {
        if case ClusterError.interrupted = error { return }
        if case ClusterError.shutDown = error { return }
        configuration.postMortem?(history.lines + ["\(clock.now) the work ends: \(error)"])
    }

    func handle(_ event: CoordinatorEvent) {
        var events = [event]
        while !events.isEmpty {
            let event = events.removeFirst()
            history.note(event, at: clock.now)
            let actions = coordinator.handle(event, at: clock.now)
            for action in actions { history.note(action, at: clock.now) }
            for action in actions {
                do {
                    if clock.isPaused, DeferredActions.mustWait(action) {
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
}
