import ComputationGraph
import Coordination
import Datasets
import Foundation
import Search
import Testing
import Work
import ZeroMQ

@testable import Cluster

/// Computes from the shards that came over the wire, and from nothing else.
private struct StreamedComputation: Computation {
    private var held: [Int: Dataset] = [:]
    let sharding: Sharding
    let proof: [UInt8]

    init(_ run: RunDescription, _ fetcher: ContentFetcher) throws {
        sharding = run.sharding
        proof = try ContentHash.digest(ofFile: fetcher.path(of: run.modelParts[0].content))
    }

    var shards: [Int] { held.keys.sorted() }

    mutating func hold(_ shard: Int, contentsOf path: String) throws {
        let input = try InputSpecification(name: "x", elementTypeName: "int64", shape: nil)
        held[shard] = try Dataset(contentsOf: path, inputs: [input])
    }

    mutating func drop(_ shard: Int) { held[shard] = nil }

    func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
        let item = try LossItem(payload: key.payload)
        let shard = item.block.shard
        guard let data = held[shard] else { throw ClusterError.shardMissing(shard) }
        let start = sharding.shardRange(shard).lowerBound
        // The data are the samples' own numbers.
        let numbers = try data.gather(item.samples.map { $0 - start }, from: "x").int64s().map(Int.init)
        return LossItem.result(item.variants.map { FakeComputation.scores($0.mask, samples: numbers) })
    }
}

/// Workers that see nothing but a socket with CURVE over TCP.
@Suite(.timeLimit(.minutes(2))) struct StreamingTests {
    private let server: CurveKeyPair
    private let client: CurveKeyPair
    private let folder = NSTemporaryDirectory() + "/espalier-test-\(UInt64.random(in: 0 ... .max))"

    init() throws {
        server = try .generate()
        client = try .generate()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    private func coordinator(_ problem: SmallProblem, room: Int? = nil, proof: [UInt8]? = nil) throws
        -> ClusterRunner
    {
        let sharding = problem.division.sharding
        let array = try NumpyArray(shape: [sharding.samples], values: (0..<sharding.samples).map(Int64.init))
        try NumpyArchive.write([("x", array)], to: folder + "/data.npz")
        let input = try InputSpecification(name: "x", elementTypeName: "int64", shape: nil)
        let data = try Dataset(contentsOf: folder + "/data.npz", inputs: [input])
        let library = ContentLibrary()
        // A model that is some chunks long; here any content does.
        let large = try NumpyArray(
            shape: [1, 1 << 20], elementType: .uint8, bytes: [UInt8](repeating: 3, count: 1 << 20))
        try NumpyArchive.write([("x", large)], to: folder + "/model.npz")
        let bytes = try InputSpecification(name: "x", elementTypeName: "uint8", shape: nil)
        let model = library.add(
            try Dataset(contentsOf: folder + "/model.npz", inputs: [bytes]).archive(of: 0..<1))
        let shards = try (0..<sharding.shards).map {
            ShardContent(shard: $0, content: library.add(try data.archive(of: sharding.shardRange($0))))
        }
        let plain = problem.settings().run
        let run = RunDescription(
            session: 5, modelPath: "", modelSHA256: model.sha256, dataPath: "", dataSHA256: plain.dataSHA256,
            sampleLimit: nil, setup: "kl", sharding: sharding, heartbeat: .milliseconds(200),
            modelParts: [ModelPart(name: "model.onnx", content: model)],
            dataBudget: room.map { $0 * shards[0].content.size })
        var settings = CoordinatorSettings(run: run, softwareVersion: "test")
        settings.shards = shards
        settings.proof = proof ?? model.sha256
        settings.noWorkersLimit = .seconds(20)
        settings.patience = .milliseconds(300)
        return try ClusterRunner(
            settings, endpoint: "tcp://localhost:0",
            keys: CoordinatorKeys(secretKey: server.secretKey, allowed: [client.publicKey]), library: library,
            logger: quiet)
    }

    private func worker(_ endpoint: String, cache: String) throws -> WorkerThread {
        try WorkerThread(
            endpoint, keys: WorkerKeys(own: client, coordinator: server.publicKey),
            cache: ContentCache(folder: folder + "/" + cache), streaming: { try StreamedComputation($0, $1) })
    }

    @Test(arguments: [1, 3], [nil, 1]) func workersWithoutFilesFindTheSame(count: Int, room: Int?)
        async throws
    {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let problem = try SmallProblem()
        let runner = try coordinator(problem, room: room)
        #expect(runner.endpoint.hasPrefix("tcp://127.0.0.1:") && !runner.endpoint.hasSuffix(":0"))
        let workers = try (0..<count).map { try worker(runner.endpoint, cache: "cache\($0 % 2)") }
        // The search is short: one that begins with the first of them may be over before the last has come.
        for _ in 0..<2000 where runner.workerCount < count { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try await problem.search(runner) == problem.expected())
        runner.shutdown()
        for worker in workers { #expect(try await worker.end() == .finished(reason: "the run is over")) }
        #expect(runner.workerCount == count)
    }

    @Test func aWorkerWithOtherBitsIsRefusedWithBothMachinesNames() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let runner = try coordinator(try SmallProblem(), proof: [UInt8](repeating: 9, count: 32))
        defer { runner.shutdown() }
        guard case .refused(let reason) = try await worker(runner.endpoint, cache: "cache").end() else {
            Issue.record("it was not refused")
            return
        }
        #expect(reason.contains("differ in the last bits") && reason.contains(Machine.processorName))
        #expect(reason.contains("--allow-mixed-numerics"))
    }

    @Test func aCoordinatorWithAnotherKeyIsANamedErrorAtTheWorker() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let runner = try coordinator(try SmallProblem())
        defer { runner.shutdown() }
        let worker = try WorkerThread(
            runner.endpoint, keys: WorkerKeys(own: client, coordinator: client.publicKey))
        guard case .refused(let reason) = try await worker.end() else {
            Issue.record("it was not refused")
            return
        }
        #expect(reason.contains("another key"), "\(reason)")
    }

    @Test func aWorkerWithoutEncryptionIsANamedErrorToo() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let runner = try coordinator(try SmallProblem())
        defer { runner.shutdown() }
        guard case .refused = try await WorkerThread(runner.endpoint, isInsecure: true).end() else {
            Issue.record("it was not refused")
            return
        }
    }
}
