import Datasets
import Search

@testable import Coordination

/// How rough the simulated world is. Times are in milliseconds.
struct World {
    var workers = 3
    /// How long a message travels: every one draws its own, but none overtakes another on the same connection.
    var delay = 1...20
    var computing = 5...60
    var loading = 10...500
    /// How often a computation takes a hundred times as long.
    var stragglers = 0.0
    /// How often a worker's process ends when a task starts, and another takes its place.
    var crashes = 0.0
    /// How often a connection breaks when a message is sent: what is on its way is lost.
    var breaks = 0.0
    /// Whether the coordinator is told of broken connections, or has to find out.
    var breaksAreSeen = true
    /// How often a result arrives twice.
    var duplicates = 0.0
    /// How often a task fails for a passing reason.
    var failures = 0.0
    /// How often a worker stops for some seconds with all its threads.
    var pauses = 0.0
    /// Faults end here, so that a run cannot go on for ever.
    var faultLimit = 40
    /// Workers beyond the first hold only some of the shards.
    var partialShards = false
}

/// A coordinator and its workers in one thread: the simulator owns time, network and randomness, so that one seed is
/// one execution.
struct Simulator {
    enum Failure: Error { case stuck(String), failed(CoordinationError) }

    /// Something that will happen.
    private enum Event {
        case toCoordinator(WorkerMessage, ConnectionID)
        case toWorker(CoordinatorMessage, ConnectionID)
        case lostToCoordinator(ConnectionID)
        case work(Int, generation: Int, WorkerEvent)
        case restart(Int)
        case connect(Int, generation: Int)
        case tickCoordinator
        case tickWorker(Int, generation: Int)
        case resume(Int)
    }

    private struct Node {
        var machine: Worker
        var generation = 0
        var connection: ConnectionID?
        var isPaused = false
        var waiting: [Event] = []
    }

    let world: World
    let problem: SmallProblem
    let seed: UInt64
    private(set) var coordinator: Coordinator
    private(set) var now = Instant.zero
    private(set) var journal: [RecordedResult] = []
    private(set) var acknowledged = 0
    private var random: SplitMix64
    private var nodes: [Node] = []
    private var owners: [ConnectionID: Int] = [:]
    private var agenda: [(at: Instant, number: Int, event: Event)] = []
    private var counter = 0
    private var lastArrival: [String: Instant] = [:]
    private var faults = 0
    private var outcome: LevelOutcome?
    private var failure: CoordinationError?
    private var journaledNow = false

    init(_ world: World, problem: SmallProblem, seed: UInt64, settings: CoordinatorSettings? = nil) {
        self.world = world
        self.problem = problem
        self.seed = seed
        random = SplitMix64(seed: seed)
        var usual = CoordinatorSettings(run: problem.run(), softwareVersion: "1")
        usual.strikeLimit = .max
        usual.firstLease = .seconds(20)
        coordinator = Coordinator(settings ?? usual)
        for index in 0..<world.workers {
            nodes.append(Node(machine: newWorker()))
            schedule(.connect(index, generation: 0), in: draw(world.loading))
            schedule(.tickWorker(index, generation: 0), in: 100)
        }
        schedule(.tickCoordinator, in: 100)
    }

    /// Runs a level to its end.
    mutating func evaluate(_ level: Level, usesBounds: Bool, recorded: [RecordedResult] = []) throws
        -> LevelOutcome
    {
        outcome = nil
        failure = nil
        try tell(.begin(level, division: problem.division, usesBounds: usesBounds, recorded: recorded))
        var steps = 0
        while outcome == nil {
            if let failure { throw Failure.failed(failure) }
            steps += 1
            guard steps < 200_000, let index = agenda.indices.min(by: { isEarlier($0, $1) }) else {
                throw Failure.stuck("seed \(seed): nothing finishes after \(steps) events, at \(now)")
            }
            let next = agenda[index]
            agenda.swapAt(index, agenda.count - 1)
            agenda.removeLast()
            now = max(now, next.at)
            try happen(next.event)
        }
        return outcome!
    }

    private func isEarlier(_ left: Int, _ right: Int) -> Bool {
        (agenda[left].at, agenda[left].number) < (agenda[right].at, agenda[right].number)
    }

    // MARK: Chance

    private mutating func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    private mutating func strikes(_ probability: Double) -> Bool {
        guard probability > 0, faults < world.faultLimit else { return false }
        guard Double.random(in: 0..<1, using: &random) < probability else { return false }
        faults += 1
        return true
    }

    private mutating func newWorker() -> Worker {
        Worker(
            WorkerSettings(
                hello: Hello(
                    softwareVersion: "1", identity: WorkerID(using: &random), host: "simulated",
                    process: Int32(counter), processor: "none")))
    }

    // MARK: Time

    private mutating func schedule(_ event: Event, in milliseconds: Int) {
        counter += 1
        agenda.append((now + .milliseconds(milliseconds), counter, event))
    }

    /// Puts a message on its way, behind those that travel the same way already.
    private mutating func travel(_ event: Event, along way: String) {
        let arrival = max(now + .milliseconds(draw(world.delay)), lastArrival[way] ?? .zero)
        lastArrival[way] = arrival
        counter += 1
        agenda.append((arrival, counter, event))
    }

    private mutating func happen(_ event: Event) throws {
        switch event {
        case .toCoordinator(let message, let connection): try tell(.received(message, from: connection))
        case .lostToCoordinator(let connection): try tell(.disconnected(connection))
        case .tickCoordinator:
            schedule(.tickCoordinator, in: 100)
            try tell(.tick)
        case .toWorker(let message, let connection):
            guard let index = owners[connection], nodes[index].connection == connection else { return }
            try tell(index, .received(message), as: event)
        case .work(let index, let generation, let workerEvent):
            guard nodes[index].generation == generation else { return }
            try tell(index, workerEvent, as: event)
        case .tickWorker(let index, let generation):
            guard nodes[index].generation == generation else { return }
            schedule(event, in: 100)
            if !nodes[index].isPaused { try tell(index, .tick, as: event) }
        case .connect(let index, let generation):
            guard nodes[index].generation == generation else { return }
            connect(index)
            try tell(index, .connected, as: .work(index, generation: generation, .connected))
        case .restart(let index):
            nodes[index].machine = newWorker()
            schedule(.connect(index, generation: nodes[index].generation), in: draw(world.loading))
            schedule(.tickWorker(index, generation: nodes[index].generation), in: 100)
        case .resume(let index):
            nodes[index].isPaused = false
            let waiting = nodes[index].waiting
            nodes[index].waiting = []
            for event in waiting { try happen(event) }
        }
    }

    // MARK: Network

    private mutating func connect(_ index: Int) {
        counter += 1
        let connection = ConnectionID([
            UInt8(index), UInt8(truncatingIfNeeded: counter >> 16),
            UInt8(truncatingIfNeeded: counter >> 8), UInt8(truncatingIfNeeded: counter),
        ])
        nodes[index].connection = connection
        owners[connection] = index
    }

    /// Everything on its way over a worker's connection is lost.
    private mutating func disconnect(_ index: Int) {
        guard let connection = nodes[index].connection else { return }
        nodes[index].connection = nil
        agenda.removeAll { entry in
            switch entry.event {
            case .toCoordinator(_, let other), .toWorker(_, let other): other == connection
            default: false
            }
        }
        if world.breaksAreSeen { schedule(.lostToCoordinator(connection), in: draw(world.delay)) }
    }

    // MARK: Machines

    private mutating func tell(_ event: CoordinatorEvent) throws {
        let actions = coordinator.handle(event, at: now)
        try coordinator.validateState()
        var journaled = false
        for action in actions {
            switch action {
            case .send(let message, let connection):
                if case .acknowledged = message { acknowledged += 1 }
                guard let index = owners[connection], nodes[index].connection == connection else { continue }
                travel(.toWorker(message, connection), along: "to \(connection)")
            case .journal(let task, let scores, _):
                journaled = true
                for (edge, score) in zip(task.edges, scores) {
                    journal.append(
                        RecordedResult(state: task.state, edge: edge, block: task.block, scores: score))
                }
            case .levelFinished(let outcome): self.outcome = outcome
            case .fail(let error): failure = error
            case .close, .log, .serve: break
            }
        }
        journaledNow = journaled
    }

    private mutating func tell(_ index: Int, _ event: WorkerEvent, as original: Event) throws {
        guard !nodes[index].isPaused else {
            nodes[index].waiting.append(original)
            return
        }
        let actions = nodes[index].machine.handle(event, at: now)
        try nodes[index].machine.validateState()
        for action in actions { perform(action, of: index) }
    }

    private mutating func perform(_ action: WorkerAction, of index: Int) {
        let generation = nodes[index].generation
        switch action {
        case .send(let message):
            guard let connection = nodes[index].connection else { return }
            if strikes(world.breaks) {
                disconnect(index)
                // The transport connects again by itself, and does not say so.
                connect(index)
                return
            }
            travel(.toCoordinator(message, connection), along: "from \(connection)")
            if case .result = message, strikes(world.duplicates) {
                travel(.toCoordinator(message, connection), along: "from \(connection)")
            }
        case .load(let run):
            let all = run.sharding.shards
            let shards =
                world.partialShards && index > 0 ? (0..<all).filter { _ in draw(0...1) == 0 } : Array(0..<all)
            schedule(
                .work(index, generation: generation, .loaded(run, shards: shards.isEmpty ? [0] : shards)),
                in: draw(world.loading))
        case .compute(let assignment):
            if strikes(world.crashes) {
                disconnect(index)
                nodes[index].generation += 1
                nodes[index].waiting = []
                schedule(.restart(index), in: draw(world.loading))
                return
            }
            if strikes(world.pauses) {
                nodes[index].isPaused = true
                schedule(.resume(index), in: draw(500...8000))
            }
            let time = draw(world.computing) * (strikes(world.stragglers) ? 100 : 1)
            let answer: WorkerEvent =
                strikes(world.failures)
                ? .computeFailed(assignment.id, reason: "a passing fault", isPermanent: false)
                : .computed(
                    assignment.id, scores: SyntheticLoss.scores(assignment, seed: seed),
                    seconds: Double(time) / 1000)
            schedule(.work(index, generation: generation, answer), in: time)
        case .reconnect(let pause):
            disconnect(index)
            schedule(.connect(index, generation: generation), in: Int(pause.inSeconds * 1000))
        case .log, .hold, .deliver, .missing: break
        case .stop: disconnect(index)
        }
    }
}
