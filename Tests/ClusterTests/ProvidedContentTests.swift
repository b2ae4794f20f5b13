import Coordination
import Datasets
import Foundation
import Testing
import Work

@testable import Cluster

/// The sums of the parts of a content that was provided, each an item of its own.
private struct PartSums: WorkSource {
    static let parts = 4

    let kind = WorkKind("part-sums")
    let stage = 1
    let smallestCost = WorkCost(scale: "sums", amount: 1)
    let content: ContentID
    private(set) var sums = [Int?](repeating: nil, count: PartSums.parts)
    private var isOut = [Bool](repeating: false, count: PartSums.parts)

    init(of content: ContentID) { self.content = content }

    var isComplete: Bool { !sums.contains(nil) }

    mutating func next(for worker: WorkerView) -> WorkItem? {
        guard let part = sums.indices.first(where: { sums[$0] == nil && !isOut[$0] }) else { return nil }
        isOut[part] = true
        var payload = ByteWriter()
        payload.write(part)
        payload.write(content.size)
        payload.write(raw: content.sha256)
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: payload.bytes), shard: nil, contents: [content],
            cost: smallestCost, pieces: [part])
    }

    /// The result of an item: what a computation makes of it.
    static func result(_ key: WorkKey, _ contents: any ContentAccess) throws -> [UInt8] {
        var payload = ByteReader(key.payload)
        let (part, size) = (try payload.number(), try payload.number())
        let content = ContentID(sha256: try payload.raw(32), size: size)
        let bytes = try contents.bytes(of: content)
        var sum = ByteWriter()
        sum.write(stride(from: part, to: bytes.count, by: parts).reduce(0) { $0 + Int(bytes[$1]) })
        return sum.bytes
    }

    func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        guard result.count == 4 else { throw WorkMismatch("has \(result.count) bytes") }
    }

    mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        var reader = ByteReader(result)
        sums[item.pieces[0]] = try? reader.number()
        return false
    }

    mutating func adopt(_ record: WorkRecord) -> Adoption { .none }
    func needs(_ item: WorkItem) -> Bool { sums[item.pieces[0]] == nil }
    mutating func giveBack(_ item: WorkItem) { isOut[item.pieces[0]] = false }
    func describe(_ item: WorkItem, pieces: [Int]) -> String { "the sums of the parts \(pieces)" }
}

/// Contents that items name, and that workers get from the coordinator.
@Suite(.timeLimit(.minutes(2))) struct ProvidedContentTests {
    private struct Summing: Computation {
        let shards: [Int]

        func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
            try PartSums.result(key, contents)
        }
    }

    private let folder = NSTemporaryDirectory() + "/espalier-test-\(UInt64.random(in: 0 ... .max))"
    /// Two chunks and a bit.
    private let bytes = (0..<2 * ChunkRequest.largestCount + 77).map {
        UInt8(truncatingIfNeeded: $0 &* $0 >> 7)
    }

    private func worker(_ runner: ClusterRunner, _ number: Int) throws -> WorkerThread {
        try WorkerThread(runner.endpoint, cache: ContentCache(folder: "\(folder)/\(number)")) { run in
            Summing(shards: Array(0..<run.sharding.shards))
        }
    }

    @Test(arguments: [1, 2]) func aContentThatIsProvidedReachesWhateverWorkerNeedsIt(count: Int) async throws
    {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let problem = try SmallProblem()
        let runner = try ClusterRunner(problem.settings(), endpoint: uniqueEndpoint(), logger: quiet)
        let content = try await runner.provide(bytes)
        #expect(content == ContentHash.content(of: bytes))
        let workers = try (0..<count).map { try worker(runner, $0) }
        let sums = try await runner.run(PartSums(of: content)).sums
        runner.shutdown()
        for worker in workers { #expect(try await worker.end() != nil) }
        let expected = (0..<PartSums.parts).map { part in
            bytes.indices.reduce(0) { $1 % PartSums.parts == part ? $0 + Int(bytes[$1]) : $0 }
        }
        #expect(sums == expected)

        // In one process it is the same, under the same name.
        let local = LocalRunner(name: { ContentHash.content(of: $0) }) { item, contents in
            try PartSums.result(item.key, contents)
        }
        #expect(try await local.provide(bytes) == content)
        #expect(try await local.run(PartSums(of: content)).sums == expected)
    }

    @Test func aContentThatIsProvidedLateReachesAWorkerThatIsReady() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let problem = try SmallProblem()
        let runner = try ClusterRunner(problem.settings(), endpoint: uniqueEndpoint(), logger: quiet)
        let worker = try worker(runner, 0)
        for size in [10, 1, 0] {
            let content = try await runner.provide([UInt8](repeating: 3, count: size))
            let sums = try await runner.run(PartSums(of: content)).sums
            #expect(sums.reduce(0) { $0 + ($1 ?? 0) } == 3 * size)
        }
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }

    @Test func aContentThatNobodyProvidedStopsTheRunAndIsNamed() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let problem = try SmallProblem()
        var settings = problem.settings()
        settings.restAfterFailure = .milliseconds(10)
        let runner = try ClusterRunner(settings, endpoint: uniqueEndpoint(), logger: quiet)
        let worker = try worker(runner, 0)
        let unknown = ContentHash.content(of: bytes)
        await #expect {
            try await runner.run(PartSums(of: unknown))
        } throws: { error in
            "\(error)".contains(unknown.hexadecimal.prefix(12)) && "\(error)".contains("has no such content")
        }
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }
}
