internal import Coordination
internal import Foundation
internal import Work
internal import Datasets

/// A place for a worker's process; another one takes it when the first ends.
struct Node {
    var machine: Worker
    /// Counts the processes.
    var process = 0
    var clock = Clock()
    var link: Int?
    var linkCount = 0
    var lastUp: Int64 = 0
    var lastDown: Int64 = 0
    var cutUpUntil: Int64 = 0
    var cutDownUntil: Int64 = 0
    var isPaused = false
    /// The shards that it holds, and those that it was told to hold, where the coordinator says so.
    var held: [Int] = []
    var wanted: [ShardContent] = []
    var waiting: [Simulator.Event] = []
    var ending: WorkerEnding?
}

extension Simulator {
    func newNode() -> Node {
        var node = Node(machine: newWorker())
        node.clock = newClock()
        return node
    }

    func newClock() -> Clock {
        guard world.drift > 0 else { return Clock() }
        let share = Double(draw(-1000...1000)) / 1000
        return Clock(origin: Int64(draw(0...1_000_000_000)), rate: 1 + world.drift * share)
    }

    private func newWorker() -> Worker {
        Worker(
            WorkerSettings(
                hello: Hello(
                    softwareVersion: "1", identity: WorkerID(using: &random), host: "simulated",
                    process: Int32(truncatingIfNeeded: counts.events), processor: "none")))
    }

    func happenToWorker(_ index: Int, _ event: WorkerEvent, as original: Event) throws {
        guard !nodes[index].isPaused else {
            nodes[index].waiting.append(original)
            return
        }
        let actions = nodes[index].machine.handle(event, at: nodes[index].clock.reading(at: now))
        if counts.events % world.checkInterval == 0 { try nodes[index].machine.validateState() }
        for action in actions { try perform(action, of: index) }
    }

    func tickWorker(_ index: Int, process: Int) throws {
        let event = Event.tickWorker(index, process: process)
        schedule(event, in: Simulator.pulse)
        if strikes(.partition) {
            let end = now + Int64(draw(500...20_000)) * 1_000_000
            nodes[index].cutUpUntil = end
            nodes[index].cutDownUntil = end
        }
        if strikes(.partitionOfOneDirection) {
            let end = now + Int64(draw(500...20_000)) * 1_000_000
            if draw(0...1) == 0 { nodes[index].cutUpUntil = end } else { nodes[index].cutDownUntil = end }
        }
        if strikes(.workerClockSetBack) { nodes[index].clock.jump(byMilliseconds: -draw(100...30_000)) }
        if strikes(.workerClockJump) { nodes[index].clock.jump(byMilliseconds: draw(100...1_000_000)) }
        // A stopped process has one tick waiting, not all that it missed.
        if !nodes[index].isPaused { try happenToWorker(index, .tick, as: event) }
    }

    private func end(_ index: Int, isSeen: Bool) {
        probes += nodes[index].machine.probes
        disconnect(index, isSeen: isSeen)
        nodes[index].process += 1
        nodes[index].waiting = []
        nodes[index].isPaused = false
        if !isOver { schedule(.restart(index), in: delay(of: .load, index)) }
    }

    func restart(_ index: Int) {
        nodes[index].machine = newWorker()
        nodes[index].held = []
        nodes[index].wanted = []
        nodes[index].ending = nil
        schedule(.connect(index, process: nodes[index].process), in: draw(world.delay))
        schedule(.tickWorker(index, process: nodes[index].process), in: Simulator.pulse)
    }

    private func perform(_ action: WorkerAction, of index: Int) throws {
        let process = nodes[index].process
        switch action {
        case .send(let message):
            note(index << 8 | 1, "worker \(index) says \(brief(message))")
            if case .failed(let failure) = message { failed.insert(failure.id) }
            try sendUp(message, from: index)
        case .load(let run):
            let event: WorkerEvent
            if strikes(.loadFailure) {
                event = .loadFailed(run, reason: "a file that is not there")
            } else {
                let all = run.sharding.shards
                let some = (0..<all).filter { _ in draw(0...1) == 0 }
                let isPartial = world.hasPartialShards && index > 0 && !some.isEmpty
                let own = isPartial ? some : Array(0..<all)
                event = .loaded(run, shards: world.shardRoom == nil ? own : [], proof: Simulator.proof)
            }
            schedule(.work(index, process: process, event), in: delay(of: .load, index))
        case .compute(let order): compute(order, on: index)
        case .reconnect(let pause):
            disconnect(index, isSeen: draw(0...1) == 0)
            schedule(.connect(index, process: process), in: Int(pause.inSeconds * 1000))
        case .hold(let shards): hold(shards, by: index)
        case .deliver(let chunk): take(chunk, by: index)
        case .missing: break
        case .log(_, let text): note(index << 8 | 2, "worker \(index): \(text)")
        case .stop(let ending):
            note(index << 8 | 3, "worker \(index) ends: \(ending)")
            nodes[index].ending = ending
            end(index, isSeen: true)
        }
    }

    private func compute(_ order: WorkOrder, on index: Int) {
        let process = nodes[index].process
        note(index << 8 | 4, "worker \(index) computes \(order.id)")
        if strikes(.workerCrash) { return end(index, isSeen: draw(0...1) == 0) }
        if strikes(.hang) { return }
        if strikes(.workerPause) {
            nodes[index].isPaused = true
            schedule(.resume(index), in: draw(500...8000))
        }
        let time = delay(of: .compute, index)
        let isHeld = world.shardRoom == nil || shard(of: order.key).map(nodes[index].held.contains) ?? true
        let answer: WorkerEvent =
            !isHeld || strikes(.taskFailure)
            ? .computeFailed(order.id, reason: "a passing fault", isPermanent: false)
            : .computed(order.id, result: result(of: order.key), seconds: Double(time) / 1000)
        schedule(.work(index, process: process, answer), in: time)
    }

    private func brief(_ message: WorkerMessage) -> String {
        switch message {
        case .result(let result): "result of \(result.id)"
        case .handover(let handover): "handover of \(handover.result.id)"
        case .hello: "hello"
        default: "\(message)"
        }
    }
}
