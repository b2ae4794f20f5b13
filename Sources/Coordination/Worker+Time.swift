/// What a worker does about time that passes: signs of life, answers that get lost, a coordinator that is silent.
extension Worker {
    mutating func tick(at now: Instant) -> [WorkerAction] {
        let since = lastMessage ?? now
        lastMessage = since
        if let limit = settings.coordinatorLimit, now - since > limit {
            return stop(.noCoordinator(waited: now - since))
        }
        guard phase != .disconnected else { return [] }
        let limit = phase == .greeting ? settings.greetingLimit : run?.silenceLimit ?? settings.greetingLimit
        if now - lastHeard > limit { return reconnect() }
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
            messages = [.alive(computed: computedCount)]
        }
        return messages.map { .send($0) }
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
    private mutating func reconnect() -> [WorkerAction] {
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
            .log(level, "no coordinator answers; trying again"),
            .reconnect(after: .clamped(seconds: pause)),
        ]
    }

    /// A worker that was itself stopped for a while must not take that for the coordinator's silence.
    mutating func forgiveOwnSleep(until now: Instant) {
        defer { lastEvent = now }
        guard let lastEvent, let run, now - lastEvent > run.heartbeat * 2 else { return }
        probes.reach(.workerForgivesOwnSleep)
        lastHeard = min(now, lastHeard + (now - lastEvent))
        if let since = computing?.since { computing?.since = min(now, since + (now - lastEvent)) }
    }
}
