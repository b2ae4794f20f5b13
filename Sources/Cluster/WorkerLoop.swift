internal import Coordination
internal import Dispatch
internal import Foundation
internal import Logging
internal import ZeroMQ

/// What the worker's talking thread does. Lives and dies on that thread.
final class WorkerLoop {
    private let endpoint: String
    /// Whether it was looked up whether its host is known.
    private var hasLookedUpHost = false
    private let keys: WorkerKeys?
    private let wire: Wire
    /// One of its own unless given: it goes with the loop, once the last message is sent or has lingered.
    private var context: Context?
    private let logger: Logger
    private let mailbox: Mailbox<WorkerService.Note>
    private let jobs: JobQueue
    private let fetcher: ContentFetcher
    private let stopwatch = Stopwatch()
    private var worker: Worker
    private var socket: Socket?
    private var monitor: SocketMonitor?
    private var poller = Poller()
    /// When to connect again.
    private var reopening: Instant? = .zero
    private var ending: WorkerEnding?
    private var handshakes: HandshakeWatch

    init(
        endpoint: String, keys: WorkerKeys?, settings: WorkerSettings, wire: Wire, context: Context?,
        logger: Logger, mailbox: Mailbox<WorkerService.Note>, jobs: JobQueue,
        fetcher: ContentFetcher
    ) {
        self.endpoint = endpoint
        self.keys = keys
        self.wire = wire
        self.context = context
        self.logger = logger
        self.mailbox = mailbox
        self.jobs = jobs
        self.fetcher = fetcher
        worker = Worker(settings)
        handshakes = HandshakeWatch(hasKeys: keys != nil) {
            GreetingProbe.look(at: endpoint, hasKeys: keys != nil)
        }
        _ = poller.add(mailbox.wakeup)
    }

    /// Runs until the work is over.
    func run() -> WorkerEnding {
        var nextTick = stopwatch.now
        while true {
            do {
                if let reopening, reopening <= stopwatch.now { try open() }
                let pulse = reopening.map { min($0, nextTick) } ?? nextTick
                _ = try poller.wait(timeout: max(.zero, pulse - stopwatch.now))
                try receiveAll()
                try watchHandshakes()
            } catch {
                logger.error("\(error)")
                ending = ending ?? .refused(reason: "\(error)")
            }
            for note in mailbox.drain() {
                switch note {
                case .event(let event): handle(event)
                case .terminate: handle(.terminate)
                }
            }
            if stopwatch.now >= nextTick {
                handle(.tick)
                nextTick = stopwatch.now + .milliseconds(200)
            }
            if let ending {
                // What is still to be sent goes out while the socket lingers; a run that is over wants nothing more, and
                // mostly nobody is there to take it.
                if case .finished = ending { try? socket?.set(.linger, .zero) }
                socket?.close()
                return ending
            }
        }
    }

    private func open() throws {
        reopening = nil
        let context = try self.context ?? Context()
        self.context = context
        let socket = try Socket(.dealer, in: context)
        try Transport.configure(socket, frameBytes: wire.limits.coordinatorFrameBytes)
        if endpoint.contains("[") { try socket.set(.ipv6, true) }
        try socket.set(.reconnectInterval, .milliseconds(100))
        try socket.set(.maximumReconnectInterval, .seconds(5))
        if let keys { try socket.useCurve(keys: keys.own, serverKey: keys.coordinator) }
        let monitor = try socket.monitor()
        try socket.connect(to: endpoint)
        // libzmq says nothing of a name that nobody knows, and tries on: names may come later, and mistakes do not go away.
        if !hasLookedUpHost {
            hasLookedUpHost = true
            DispatchQueue.global().async { [endpoint, logger] in
                guard GreetingProbe.isUnknownHost(endpoint) else { return }
                logger.warning("\(endpoint): there is no such host; trying on")
            }
        }
        poller = Poller()
        _ = poller.add(mailbox.wakeup)
        _ = poller.add(socket)
        _ = poller.add(monitor.socket)
        self.socket = socket
        self.monitor = monitor
        handle(.connected)
    }

    private func handle(_ event: WorkerEvent) {
        for action in worker.handle(event, at: stopwatch.now) { perform(action) }
    }

    private func perform(_ action: WorkerAction) {
        switch action {
        case .send(let message): send(message)
        case .load(let run):
            logger.info("loading \(run.modelPath) and \(run.dataPath)")
            fetcher.cancelAll()
            jobs.add(.load(run))
        case .hold(let shards): jobs.add(.hold(shards))
        case .deliver(let chunk): fetcher.deliver(chunk)
        case .missing(let sha256, let reason): fetcher.missing(sha256, reason: reason)
        case .compute(let order): jobs.add(.compute(order))
        case .reconnect(let pause):
            socket?.close()
            socket = nil
            monitor = nil
            poller = Poller()
            _ = poller.add(mailbox.wakeup)
            reopening = stopwatch.now + pause
        case .log(let level, let text): logger.log(level: Logger.Level(level), "\(text)")
        case .stop(let ending): self.ending = ending
        }
    }

    private func send(_ message: WorkerMessage) {
        do {
            guard let bytes = try? wire.encode(message) else {
                logger.error("a message is too large to be sent")
                // Whoever waits for the result has to know that none comes.
                if case .result(let result) = message {
                    let reason = "its result of \(result.result.count) bytes is too large to be sent"
                    send(.failed(TaskFailure(id: result.id, reason: reason, isPermanent: true)))
                }
                return
            }
            // A full queue means that the coordinator is gone: it asks again, or is connected to anew.
            _ = try socket?.send([Frame(bytes)])
        } catch { logger.warning("\(error)") }
    }

    private func receiveAll() throws(ZeroMQError) {
        while ending == nil, let frames = try socket?.receive() {
            guard frames.count == 1 else {
                handle(.malformed(.malformed))
                continue
            }
            do throws(WireError) {
                handle(.received(try wire.decodeCoordinatorMessage(frames[0].data)))
            } catch { handle(.malformed(error)) }
        }
    }

    private func watchHandshakes() throws(ZeroMQError) {
        while let event = try monitor?.next() {
            switch handshakes.verdict(after: event.kind) {
            case .refused(let reason): ending = ending ?? .refused(reason: "\(endpoint): \(reason)")
            case .absent(let note): logger.warning("\(endpoint): \(note)")
            case .broken(let reason):
                handle(.connectionBroken(reason))
                return
            case nil: break
            }
        }
    }
}
