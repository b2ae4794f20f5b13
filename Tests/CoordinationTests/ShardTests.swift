import ComputationGraph
import Datasets
import Search
import Work
import Testing

@testable import Coordination

/// Losses that need no model: a hash of mask and sample.
private enum Scores {
    /// The result of an item of losses.
    static func of(_ key: WorkKey) throws -> [UInt8] {
        let item = try LossItem(payload: key.payload)
        return LossItem.result(of(item.variants.map(\.mask), item.samples))
    }

    private static func of(_ masks: [Mask], _ samples: [Int]) -> [SampleScores] {
        masks.map { mask in
            var hash: UInt64 = 3
            func mix(_ number: Int) {
                hash = (hash ^ UInt64(number)) &* 0xBF58_476D_1CE4_E5B9
                hash ^= hash >> 29
            }
            for edge in mask.units.map(\.edge) { mix(edge.node << 8 | edge.slot) }
            let ofMask = hash
            return SampleScores(
                losses: samples.map { sample in
                    hash = ofMask
                    mix(sample)
                    return Float(ofMask % 1000) / 500 + Float(hash % 4096) / 1021
                }, correct: [])
        }
    }

    /// Everything that must be the same to the bit.
    static func bits(_ outcome: LevelOutcome) -> [String] {
        outcome.best.map { "\($0.mask) \($0.loss.bitPattern) \($0.sampleLosses.map(\.bitPattern))" }
    }
}

/// A coordinator that says which shards its workers hold, and workers that do all at once what they are told.
private struct Bench {
    let problem: SmallProblem
    var coordinator: Coordinator
    var now = Instant.zero
    var machines: [ConnectionID: Worker] = [:]
    /// What each worker was told to hold, again and again.
    var holds: [ConnectionID: [[Int]]] = [:]
    /// Workers that compute nothing.
    var idle: Set<ConnectionID> = []
    var outcome: LevelOutcome?
    var failure: CoordinationError?
    private var inbox: [(WorkerMessage, ConnectionID)] = []

    /// - Parameter room: how many shards a worker may hold.
    init(shards: Int, room: Int?, change: (inout CoordinatorSettings) -> Void = { _ in }) throws {
        problem = try SmallProblem(samples: 48, shards: shards, blockSize: 4, edges: 5, keep: 2)
        let plain = problem.run()
        let run = RunDescription(
            session: 1, modelPath: plain.modelPath, modelSHA256: plain.modelSHA256, dataPath: plain.dataPath,
            dataSHA256: plain.dataSHA256, sampleLimit: nil, setup: "kl", sharding: plain.sharding,
            dataBudget: room.map { $0 * 100 })
        var settings = CoordinatorSettings(run: run, softwareVersion: "1")
        settings.shards = (0..<shards).map {
            ShardContent(
                shard: $0, content: ContentID(sha256: [UInt8](repeating: UInt8($0), count: 32), size: 100))
        }
        change(&settings)
        coordinator = Coordinator(settings)
    }

    mutating func join(_ name: UInt8, memory: Int? = nil, proof: [UInt8] = []) throws {
        let connection = ConnectionID([name])
        var worker = Worker(
            WorkerSettings(
                hello: Hello(
                    softwareVersion: "1", identity: WorkerID(high: 0, low: UInt64(name)), host: "h",
                    process: 1, processor: "p", engine: "e", memory: memory)))
        try perform(worker.handle(.connected, at: now), of: connection, &worker, proof: proof)
        machines[connection] = worker
        try deliver()
    }

    mutating func tell(_ event: CoordinatorEvent) throws {
        for action in coordinator.handle(event, at: now) {
            switch action {
            case .send(let message, let connection):
                guard var worker = machines[connection] else { continue }
                if case .hold(let shards) = message {
                    holds[connection, default: []].append(shards.map(\.shard))
                }
                try perform(worker.handle(.received(message), at: now), of: connection, &worker)
                machines[connection] = worker
            case .finished(let source): outcome = (source as? LevelRace)?.outcome()
            case .fail(let error): failure = error
            default: break
            }
        }
        try coordinator.validateState()
        try deliver()
    }

    private mutating func deliver() throws {
        while !inbox.isEmpty {
            let (message, connection) = inbox.removeFirst()
            try tell(.received(message, from: connection))
        }
    }

    private mutating func perform(
        _ actions: [WorkerAction], of connection: ConnectionID, _ worker: inout Worker, proof: [UInt8] = []
    ) throws {
        for action in actions {
            switch action {
            case .send(let message): inbox.append((message, connection))
            case .load(let run):
                try perform(
                    worker.handle(.loaded(run, shards: [], proof: proofs[connection] ?? []), at: now),
                    of: connection, &worker)
            case .hold(let shards):
                try perform(worker.handle(.holds(shards.map(\.shard)), at: now), of: connection, &worker)
            case .compute(let order) where !idle.contains(connection):
                // A worker must never be asked about data that it does not hold.
                let shard = try LossItem(payload: order.key.payload).block.shard
                guard holds[connection]?.last?.contains(shard) == true else { continue }
                try perform(
                    worker.handle(
                        .computed(order.id, result: try Scores.of(order.key), seconds: 0.01),
                        at: now), of: connection, &worker)
            default: break
            }
        }
    }

    var proofs: [ConnectionID: [UInt8]] = [:]

    /// Lets time pass until the level is over.
    mutating func finish(within seconds: Int = 60) throws {
        var ticks = 0
        while outcome == nil, failure == nil, ticks < seconds * 4 {
            ticks += 1
            now = now + .milliseconds(250)
            for connection in machines.keys { try tell(.received(.alive(computed: 0), from: connection)) }
            try tell(.tick)
        }
    }
}

@Suite struct ShardTests {
    /// What one race without any cluster finds.
    private func expected(_ problem: SmallProblem, _ level: Level) throws -> [String] {
        var race = LevelRace(level, division: problem.division, usesBounds: true)
        while let item = race.next(for: WorkerView()) { _ = race.fold(item, try Scores.of(item.key)) }
        return Scores.bits(race.outcome())
    }

    private func begin(_ bench: inout Bench, _ level: Level) throws {
        try bench.tell(.begin(LevelRace(level, division: bench.problem.division), recorded: []))
    }

    @Test func withRoomForAllEveryWorkerHoldsAll() throws {
        var bench = try Bench(shards: 3, room: 3)
        try bench.join(1)
        try bench.join(2)
        #expect(bench.holds.values.map { $0.last?.sorted() } == [[0, 1, 2], [0, 1, 2]])
        try begin(&bench, bench.problem.base)
        try bench.finish()
        #expect(try bench.outcome.map(Scores.bits) == expected(bench.problem, bench.problem.base))
    }

    @Test func workersWithLittleRoomShareTheShardsOut() throws {
        var bench = try Bench(shards: 4, room: 2)
        try bench.join(1)
        try bench.join(2)
        #expect(bench.holds[ConnectionID([1])] == [[0, 1]])
        #expect(bench.holds[ConnectionID([2])] == [[2, 3]])
    }

    @Test func aWorkersOwnMemoryCounts() throws {
        var bench = try Bench(shards: 4, room: 2) { settings in
            let run = settings.run
            settings = CoordinatorSettings(
                run: RunDescription(
                    session: 1, modelPath: "", modelSHA256: run.modelSHA256, dataPath: "",
                    dataSHA256: run.dataSHA256, sampleLimit: nil, setup: "kl", sharding: run.sharding,
                    memoryBudget: 1000, dataBudget: 200), softwareVersion: "1")
            settings.shards = (0..<4).map {
                ShardContent(shard: $0, content: ContentID(sha256: run.dataSHA256, size: 100))
            }
        }
        try bench.join(1, memory: 1100)
        try bench.join(2, memory: 900)
        #expect(bench.holds[ConnectionID([1])] == [[0, 1, 2]])
        #expect(bench.holds[ConnectionID([2])] == [[3]])
    }

    @Test(arguments: [1, 2, 3]) func workersThatHoldTooLittleTakeTurnsWithTheShards(workers: UInt8) throws {
        var bench = try Bench(shards: 4, room: 1)
        for name in 1...workers { try bench.join(name) }
        try begin(&bench, bench.problem.base)
        try bench.finish()
        let base = try #require(bench.outcome)
        #expect(try Scores.bits(base) == expected(bench.problem, bench.problem.base))
        let next = bench.problem.level(1, after: base.best, baseLoss: base.best[0].loss)
        bench.outcome = nil
        try begin(&bench, next)
        try bench.finish()
        #expect(try bench.outcome.map(Scores.bits) == expected(bench.problem, next))
        #expect(bench.holds.values.allSatisfy { $0.allSatisfy { $0.count == 1 } }, "there is room for one")
    }

    @Test func theShardsOfADeadWorkerMoveToOthers() throws {
        var bench = try Bench(shards: 4, room: 2)
        try bench.join(1)
        try bench.join(2)
        bench.idle = [ConnectionID([2])]
        try begin(&bench, bench.problem.base)
        bench.machines[ConnectionID([2])] = nil
        try bench.tell(.disconnected(ConnectionID([2])))
        try bench.finish()
        #expect(try bench.outcome.map(Scores.bits) == expected(bench.problem, bench.problem.base))
        let told = Set((bench.holds[ConnectionID([1])] ?? []).flatMap { $0 })
        #expect(told == [0, 1, 2, 3])
    }

    @Test func aWorkerThatWasNotHeardIsToldAgain() throws {
        var bench = try Bench(shards: 2, room: 2)
        try bench.join(1)
        let connection = ConnectionID([1])
        // A worker that holds nothing although it was told to: what it said was lost.
        bench.machines[connection] = nil
        try bench.tell(.received(.ready(shards: []), from: connection))
        var told = 0
        for _ in 0..<100 {
            bench.now = bench.now + .milliseconds(250)
            _ = bench.coordinator.handle(.received(.alive(computed: 0), from: connection), at: bench.now)
            for case .send(.hold, _) in bench.coordinator.handle(.tick, at: bench.now) { told += 1 }
        }
        #expect(told == 1, "once in 20 of 25 seconds")
    }

    @Test func aWorkerThatComputesOtherBitsIsRefusedByName() throws {
        var bench = try Bench(shards: 1, room: nil) { settings in
            settings.proof = [UInt8](repeating: 1, count: 32)
            settings.machine = "q, f"
        }
        bench.proofs = [
            ConnectionID([1]): [UInt8](repeating: 1, count: 32),
            ConnectionID([2]): [UInt8](repeating: 2, count: 32),
        ]
        try bench.join(1)
        try bench.join(2)
        #expect(bench.machines[ConnectionID([1])]?.isStopped == false)
        #expect(bench.machines[ConnectionID([2])]?.isStopped == true)
        #expect(bench.coordinator.workers.count == 1)
    }
}
