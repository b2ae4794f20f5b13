import ComputationGraph
import Datasets
import Search
import Work

@testable import Coordination

/// A coordinator in the hand: events go in one by one, and the exact actions are looked at.
struct CoordinatorBench {
    var coordinator: Coordinator
    let problem: SmallProblem
    var now = Instant.zero
    /// What the user was told.
    var warnings: [String] = []

    init(shards: Int = 1, samples: Int = 8, configure: (inout CoordinatorSettings) -> Void = { _ in }) throws
    {
        problem = try SmallProblem(samples: samples, shards: shards, blockSize: 4, edges: 3, keep: 1)
        var settings = CoordinatorSettings(run: problem.run(), softwareVersion: "1")
        configure(&settings)
        coordinator = Coordinator(settings)
    }

    mutating func tell(_ event: CoordinatorEvent, after: Duration = .zero) throws -> [String] {
        now = now + after
        let actions = coordinator.handle(event, at: now)
        try coordinator.validateState()
        for case .log(.warning, let text) in actions { warnings.append(text) }
        return actions.compactMap(CoordinatorBench.words)
    }

    /// Heartbeats of these workers for a while, so that nobody seems dead.
    mutating func wait(_ duration: Duration, hearing connections: [ConnectionID]) throws -> [String] {
        var words: [String] = []
        let end = now + duration
        while now < end {
            for connection in connections {
                words += try tell(.received(.alive(computed: 0), from: connection))
            }
            words += try tell(.tick, after: .milliseconds(500))
        }
        return words.filter { !$0.hasSuffix("alive") }
    }

    mutating func join(_ name: UInt8, shards: [Int] = [0]) throws -> [String] {
        let connection = ConnectionID([name])
        return try tell(.received(.hello(CoordinatorBench.hello(name)), from: connection))
            + tell(.received(.ready(shards: shards), from: connection))
    }

    mutating func begin() throws -> [String] {
        try tell(problem.begin())
    }

    mutating func result(
        _ task: UInt64, _ attempt: UInt32, from name: UInt8, samples: Int = 4, seconds: Double = 1,
        loss: Float = 1
    )
        throws -> [String]
    {
        return try tell(
            .received(
                .result(
                    TaskResult(
                        id: AttemptID(TaskID(task), attempt),
                        result: lossResult([Float](repeating: loss, count: samples)), seconds: seconds)),
                from: ConnectionID([name])))
    }

    static func hello(_ name: UInt8, version: String = "1") -> Hello {
        Hello(
            softwareVersion: version, identity: WorkerID(high: UInt64(name), low: 0), host: "here",
            process: 1,
            processor: "")
    }

    private static func block(of key: WorkKey) -> Int {
        (try? LossItem(payload: key.payload))?.block.index ?? -1
    }

    static func words(_ action: CoordinatorAction) -> String? {
        switch action {
        case .send(let message, let connection):
            switch message {
            case .welcome: "\(connection): welcome"
            case .refused(let reason): "\(connection): refused, \(reason)"
            case .task(let order):
                "\(connection): task \(order.id.task.number)/\(order.id.attempt) block \(block(of: order.key))"
            case .acknowledged(let id): "\(connection): acknowledged \(id.task.number)/\(id.attempt)"
            case .cancel(let task): "\(connection): cancel \(task.number)"
            case .stop(let reason): "\(connection): stop, \(reason)"
            case .alive: "\(connection): alive"
            case .introduce: "\(connection): introduce"
            case .hold(let shards):
                "\(connection): hold \(shards.map { "\($0.shard)" }.joined(separator: " "))"
            case .chunk, .missing: nil
            case .status(let json): "\(connection): status of \(json.count) bytes"
            }
        case .close(let connection): "close \(connection)"
        case .journal(let record): "journal block \(block(of: record.key)) of level \(record.key.stage - 1)"
        case .note(let numerics): "note \(numerics.machine)"
        case .finished(let source): "finished with \((source as? LevelRace)?.outcome().best.count ?? -1)"
        case .fail(let error): "fail: \(error)"
        case .report(let connection): "report to \(connection)"
        case .log, .serve: nil
        }
    }
}
