import ComputationGraph
import Coordination
import Datasets
import Dispatch
import Foundation
import Logging
import Search
import Synchronization
import Work
import ZeroMQ

@testable import Cluster

/// Scores without a model: the same for the same work, wherever it is computed.
struct FakeComputation: Computation {
    let shards: [Int]
    var delay: Duration = .zero
    var gate: Gate?

    init(_ run: RunDescription, delay: Duration = .zero, gate: Gate? = nil) {
        shards = Array(0..<run.sharding.shards)
        self.delay = delay
        self.gate = gate
    }

    func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
        gate?.pass()
        if delay > .zero { Thread.sleep(forTimeInterval: delay / .seconds(1)) }
        return LossItem.result(FakeComputation.scores(try LossItem(payload: key.payload)))
    }

    static func scores(_ item: LossItem) -> [SampleScores] {
        item.variants.map { scores($0.mask, samples: item.samples) }
    }

    static func scores(_ mask: Mask, samples: [Int]) -> SampleScores {
        var random = SplitMix64(seed: 17)
        for edge in mask.units.map(\.edge) {
            random = SplitMix64(seed: random.next() ^ UInt64(edge.node))
        }
        let seed = random.next()
        let losses = samples.map { sample in
            var random = SplitMix64(seed: seed ^ UInt64(sample))
            return Float(random.next() >> 40) / Float(1 << 20)
        }
        return SampleScores(losses: losses, correct: samples.map { UInt32($0 & 1) })
    }
}

/// Computes so many tasks, and the others only once the gate is opened.
final class Gate: Sendable {
    private let left: Mutex<Int>
    private let opened = DispatchSemaphore(value: 0)

    init(after count: Int) { left = Mutex(count) }

    func pass() {
        let isFree = left.withLock { left in
            left -= 1
            return left >= 0
        }
        guard !isFree else { return }
        opened.wait()
        opened.signal()
    }

    func open() { opened.signal() }
}

/// A small search of two levels.
struct SmallProblem {
    let division: SampleDivision

    init(samples: Int = 40) throws {
        division = SampleDivision(
            sharding: try Sharding(samples: samples, shards: 2, blockSize: 4),
            weights: [Float](repeating: 1, count: samples))
    }

    var base: LevelRace {
        let full = Expansion(
            parent: 0, unit: nil, variant: Variant(.empty), cost: Cost(parameters: 9, flops: 9))
        let level = Level(
            number: 0, parents: [FrontierState(unmeasured: Variant(.empty), division)], expansions: [full],
            keep: 1, baseLoss: 0, objective: .absolute)
        return LevelRace(level, division: division, usesBounds: false)
    }

    func next(after base: State) -> LevelRace {
        let expansions = (0..<8).map { node in
            let unit = Unit(Edge(node: node, slot: 0))
            return Expansion(
                parent: 0, unit: unit, variant: Variant(.empty).removing(unit),
                cost: Cost(parameters: 8, flops: 8))
        }
        let level = Level(
            number: 1, parents: [FrontierState(base, on: BlockList(hardestFirst: base, division), division)],
            expansions: expansions, keep: 3, baseLoss: base.loss, objective: .absolute)
        return LevelRace(level, division: division)
    }

    /// Both levels' best states: masks, and the bits of losses.
    func search(_ runner: any WorkRunner) async throws -> [[String]] {
        let first = try await runner.run(base).outcome()
        let second = try await runner.run(next(after: first.best[0])).outcome()
        return [first, second].map { outcome in
            outcome.best.map { "\($0.mask) \($0.loss.bitPattern) \($0.sampleLosses.map(\.bitPattern))" }
        }
    }

    /// What the search finds in this process, without any cluster.
    func expected() async throws -> [[String]] {
        try await search(LocalRunner { item, _, _ in FakeComputation.scores(item) })
    }

    func settings(heartbeat: Duration = .milliseconds(200)) -> CoordinatorSettings {
        var settings = CoordinatorSettings(
            run: RunDescription(
                session: 5, modelPath: "model.onnx", modelSHA256: [UInt8](repeating: 1, count: 32),
                dataPath: "data.npz", dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil,
                setup: "kl",
                sharding: division.sharding, heartbeat: heartbeat), softwareVersion: "test")
        settings.noWorkersLimit = .seconds(10)
        return settings
    }
}

/// A worker on a thread of its own, in this process.
final class WorkerThread: Sendable {
    let service: WorkerService
    private let ending = Mutex<WorkerEnding?>(nil)

    init(
        _ endpoint: String, context: Context? = nil, keys: WorkerKeys? = nil, isInsecure: Bool = false,
        version: String = "test", cache: ContentCache = ContentCache(folder: "/nowhere"),
        load: @escaping @Sendable (RunDescription) throws -> any Computation = { FakeComputation($0) },
        streaming: (@Sendable (RunDescription, ContentFetcher) throws -> any Computation)? = nil
    ) throws {
        let service = try WorkerService(
            endpoint: endpoint, keys: keys, isInsecure: isInsecure, cache: cache, softwareVersion: version,
            context: context, logger: quiet)
        self.service = service
        Thread { [self] in
            let result = service.run { run, fetcher in
                try streaming.map { try $0(run, fetcher) } ?? load(run)
            }
            ending.withLock { $0 = result }
        }.start()
    }

    /// Why the worker ended; `nil` when it has not after ten seconds.
    func end() async throws -> WorkerEnding? {
        for _ in 0..<1000 {
            if let ending = ending.withLock({ $0 }) { return ending }
            try await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }
}

/// Results in memory.
final class MemoryJournal: WorkJournal, Sendable {
    struct Full: Error {}

    private let kept = Mutex<[WorkRecord]>([])
    private let limit: Int

    init(limit: Int = .max) { self.limit = limit }

    var count: Int { kept.withLock { $0.count } }

    func records(ofStage stage: Int) throws -> [WorkRecord] {
        kept.withLock { $0.filter { $0.key.stage == stage } }
    }

    func keep(_ records: [WorkRecord]) throws {
        guard count < limit else { throw Full() }
        kept.withLock { $0 += records }
    }

    func note(_ numerics: Numerics) throws {}
}

/// A logger for what tests do on purpose.
let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

/// An endpoint that no other test uses.
func uniqueEndpoint(_ scheme: String = "ipc") -> String {
    let name = "espalier-test-\(UInt64.random(in: 0 ... .max))"
    return scheme == "ipc" ? "ipc:///tmp/\(name)" : "\(scheme)://\(name)"
}
