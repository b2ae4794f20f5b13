import Foundation
import Testing

@testable import Coordination
import Work

/// A worker that asks for pieces of contents.
@Suite struct WorkerContentTests {
    private let hash = [UInt8](repeating: 7, count: 32)

    private func worker() throws -> (Worker, RunDescription) {
        let run = try SmallProblem(samples: 8, shards: 2, blockSize: 4, edges: 3, keep: 1).run()
        var worker = Worker(
            WorkerSettings(
                hello: Hello(
                    softwareVersion: "1", identity: WorkerID(high: 1, low: 2), host: "here", process: 1,
                    processor: "")))
        _ = worker.handle(.connected, at: .zero)
        _ = worker.handle(.received(.welcome(run)), at: .zero)
        return (worker, run)
    }

    @Test func aPieceIsAskedForAndDeliveredOnce() throws {
        var (worker, _) = try worker()
        let request = ChunkRequest(sha256: hash, offset: 8, count: 3)
        let chunk = Chunk(sha256: hash, offset: 8, bytes: Data([1, 2, 3]))
        #expect(worker.handle(.request(request), at: .zero) == [.send(.fetch(request))])
        #expect(worker.handle(.received(.chunk(chunk)), at: .zero) == [.deliver(chunk)])
        #expect(worker.handle(.received(.chunk(chunk)), at: .zero) == [], "nobody waits for a second one")
    }

    @Test func whatDidNotComeIsAskedForAgainOnAnotherConnection() throws {
        var (worker, run) = try worker()
        let requests = (0..<3).map { ChunkRequest(sha256: hash, offset: $0 * 4, count: 4) }
        for request in requests { _ = worker.handle(.request(request), at: .zero) }
        _ = worker.handle(
            .received(.chunk(Chunk(sha256: hash, offset: 0, bytes: Data(count: 4)))), at: .zero)
        _ = worker.handle(.connected, at: .zero)
        #expect(
            worker.handle(.received(.welcome(run)), at: .zero)
                == requests.dropFirst().map { .send(.fetch($0)) })
    }

    @Test func aRequestWhileThereIsNoConnectionWaitsForOne() throws {
        var (worker, run) = try worker()
        _ = worker.handle(.connected, at: .zero)
        let request = ChunkRequest(sha256: hash, offset: 0, count: 4)
        #expect(worker.handle(.request(request), at: .zero) == [])
        #expect(worker.handle(.received(.welcome(run)), at: .zero) == [.send(.fetch(request))])
    }

    @Test func aContentThatCannotBeHadEndsTheWaitForAllItsPieces() throws {
        var (worker, _) = try worker()
        for offset in 0..<3 {
            _ = worker.handle(.request(ChunkRequest(sha256: hash, offset: offset, count: 1)), at: .zero)
        }
        let missing = CoordinatorMessage.missing(sha256: hash, reason: "gone")
        #expect(
            worker.handle(.received(missing), at: .zero) == [.missing(sha256: hash, reason: "gone")])
        #expect(worker.requests.isEmpty)
    }

    @Test func shardsAreReportedWheneverThereIsAnotherOne() throws {
        var (worker, run) = try worker()
        #expect(
            worker.handle(.loaded(run, shards: [], proof: hash), at: .zero)
                == [.send(.ready(shards: [], proof: hash))])
        let shard = ShardContent(shard: 1, content: ContentID(sha256: hash, size: 1))
        #expect(worker.handle(.received(.hold([shard])), at: .zero) == [.hold([shard])])
        #expect(worker.handle(.holds([1]), at: .zero) == [.send(.ready(shards: [1], proof: hash))])
    }
}
