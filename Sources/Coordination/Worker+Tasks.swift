/// How a worker comes to its tasks, computes them one by one, and answers.
extension Worker {
    /// More tasks than any credit allows for.
    static let longestQueue = 64

    mutating func enqueue(_ order: WorkOrder) -> [WorkerAction] {
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

    mutating func finishLoading(
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

    mutating func computeNext(at now: Instant) -> [WorkerAction] {
        guard phase == .ready, computing == nil, let run, let next = queue.first else { return [] }
        queue.removeFirst()
        computing = (next, run, now)
        return [.compute(next)]
    }

    mutating func answer(_ id: AttemptID, _ message: WorkerMessage, at now: Instant)
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

    mutating func stop(_ ending: WorkerEnding, saying message: WorkerMessage? = nil) -> [WorkerAction] {
        let canSpeak = phase != .disconnected
        phase = .stopped
        queue = []
        return (canSpeak ? message.map { [.send($0)] } ?? [] : []) + [.stop(ending)]
    }
}
