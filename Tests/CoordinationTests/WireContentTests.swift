import ComputationGraph
import Foundation
import Search
import Work
import Testing

@testable import Coordination

/// Contents on the wire: what comes back, and what is refused before anything is allocated for it.
@Suite struct WireContentTests {
    private let wire = Wire()
    private let hash = [UInt8](repeating: 7, count: 32)

    private func run(parts: [ModelPart] = [], reference: Reference? = nil) throws -> RunDescription {
        let plain = try SmallProblem(samples: 8, shards: 2, blockSize: 4, edges: 3, keep: 1).run()
        return RunDescription(
            session: plain.session, modelPath: plain.modelPath, modelSHA256: plain.modelSHA256,
            dataPath: plain.dataPath, dataSHA256: plain.dataSHA256, sampleLimit: nil, setup: "kl",
            sharding: plain.sharding, modelParts: parts, reference: reference, dataBytes: 1 << 40,
            dataBudget: 99)
    }

    @Test func whatIsSaidOfContentsComesBack() throws {
        let content = ContentID(sha256: hash, size: 1 << 33)
        let run = try run(
            parts: [
                ModelPart(name: "a.onnx", content: content), ModelPart(name: "w/b.bin", content: content),
            ],
            reference: Reference(
                content: content, key: lossKey(0, units: [nil, Unit(Edge(node: 3, slot: 1))])))
        for message: CoordinatorMessage in [
            .welcome(run), .hold([]), .hold([ShardContent(shard: 1, content: content)]),
            .chunk(Chunk(sha256: hash, offset: 1 << 40, bytes: Data([1, 2, 3]))),
            .missing(sha256: hash, reason: "gone"),
        ] {
            #expect(try wire.decodeCoordinatorMessage(wire.encode(message)) == message)
        }
        for message: WorkerMessage in [
            .fetch(ChunkRequest(sha256: hash, offset: 0, count: ChunkRequest.largestCount)),
            .ready(shards: [], proof: hash), .ready(shards: [1]),
            .hello(
                Hello(
                    softwareVersion: "1", identity: WorkerID(high: 1, low: 2), host: "h", process: 3,
                    processor: "p", engine: "e", memory: 1 << 30)),
        ] {
            #expect(try wire.decodeWorkerMessage(wire.encode(message)) == message)
        }
    }

    @Test(arguments: ["../m.onnx", "/etc/passwd", "a//b", "a/../b", "", "./a", "a\\b", "a\0b"])
    func modelFilesStayWithinTheirFolder(name: String) throws {
        let part = ModelPart(name: name, content: ContentID(sha256: hash, size: 1))
        let bytes = try wire.encode(.welcome(run(parts: [part])))
        #expect(throws: WireError.self) { try wire.decodeCoordinatorMessage(bytes) }
    }

    @Test func countsAndSizesBeyondTheLimitsAreErrors() throws {
        let short = ContentID(sha256: Array(hash.dropLast()), size: 1)
        let large = ContentID(sha256: hash, size: (1 << 44) + 1)
        for message: CoordinatorMessage in [
            .welcome(try run(parts: [ModelPart(name: "a", content: short)])),
            .welcome(try run(parts: [ModelPart(name: "a", content: large)])),
            .hold([ShardContent(shard: 1 << 20, content: ContentID(sha256: hash, size: 1))]),
            .chunk(Chunk(sha256: hash, offset: 0, bytes: Data())),
            .chunk(
                Chunk(sha256: hash, offset: 0, bytes: Data(count: ChunkRequest.largestCount + 1))),
            .missing(sha256: [1], reason: ""),
        ] {
            let bytes = try wire.encode(message)
            #expect(throws: WireError.self) { try wire.decodeCoordinatorMessage(bytes) }
        }
        for message: WorkerMessage in [
            .fetch(ChunkRequest(sha256: hash, offset: 0, count: 0)),
            .fetch(ChunkRequest(sha256: hash, offset: 0, count: ChunkRequest.largestCount + 1)),
            .ready(shards: [], proof: [1]),
        ] {
            let bytes = try wire.encode(message)
            #expect(throws: WireError.self) { try wire.decodeWorkerMessage(bytes) }
        }
    }

    @Test func aFrameFromAWorkerIsNoLargerThanItsRunNeeds() throws {
        // What the run's work answers at most, what was asked for beside it in a handover, and a little.
        let sharding = try SmallProblem(samples: 640, shards: 2, blockSize: 64, edges: 3, keep: 1).division
            .sharding
        #expect(WireLimits(sharding, resultBytes: 1 << 20).workerFrameBytes == (1 << 20) + (4 << 20) + 1024)
        #expect(WireLimits().coordinatorFrameBytes < 10 << 20)
    }
}
