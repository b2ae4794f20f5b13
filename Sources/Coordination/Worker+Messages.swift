internal import OrderedCollections

/// What a worker does about each message of the coordinator.
extension Worker {
    mutating func receive(_ message: CoordinatorMessage, at now: Instant) -> [WorkerAction] {
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

    mutating func noteHandovers(_ count: Int) {
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
    mutating func becomeReady(at now: Instant) -> [WorkerAction] {
        phase = .ready
        readySentAt = now
        return unacknowledged.all(at: now, pause: resendPause).map { .send($0) } + [
            .send(.ready(shards: shards, proof: proof))
        ] + askAgain()
    }

    var resendPause: Duration { run?.silenceLimit ?? settings.greetingLimit }

    mutating func misunderstand(_ error: WireError) -> [WorkerAction] {
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
