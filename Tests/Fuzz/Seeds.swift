import ComputationGraph
import Coordination
import Datasets
import Foundation
import Journal
import Search
import Work

/// Inputs to begin with, for the formats that no fixture holds.
extension Targets {
    static var journalName: String { RunJournal.fileName }

    /// Writes `wire-*`, `machines-*` and `journal-*` into a folder.
    static func writeSeeds(to folder: String) {
        do {
            let (up, down) = try messages()
            for (index, bytes) in (up + down).enumerated() {
                try bytes.write(to: URL(filePath: "\(folder)/wire-\(index)"))
            }
            for (index, bytes) in [(up, false), (down, true)].map(conversation).enumerated() {
                try bytes.write(to: URL(filePath: "\(folder)/machines-\(index)"))
            }
            try journal().write(to: URL(filePath: "\(folder)/journal-0"))
        } catch { print("seeds: \(error)") }
    }

    /// What workers say, and what coordinators say.
    private static func messages() throws -> (up: [Data], down: [Data]) {
        let wire = Wire()
        let id = AttemptID(TaskID(7 << 32 | 3), 2)
        let scores = [
            SampleScores(losses: [1, 2.5], correct: [0, 1]),
            SampleScores(losses: [0, .nan], correct: [1, 1]),
        ]
        let hash = [UInt8](repeating: 3, count: 32)
        let item = LossItem(
            state: Variant(Mask([Edge(node: 3, slot: 1)])), block: BlockID(shard: 1, index: 2),
            samples: [4, 2], units: [nil, Unit(Edge(node: 1, slot: 0))])
        let key = WorkKey(kind: LossItem.kind, stage: 2, payload: item.payload)
        let order = WorkOrder(
            id: id, key: key, hints: LossItem.hints([1]), contents: [ContentID(sha256: hash, size: 7)],
            deadline: .seconds(9))
        let result = TaskResult(id: id, result: LossItem.result(scores), seconds: 0.5)
        let run = RunDescription(
            session: 7 << 32, modelPath: "model.onnx", modelSHA256: [UInt8](repeating: 1, count: 32),
            dataPath: "data.npz", dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: 8, setup: "kl",
            sharding: try Sharding(samples: 8, shards: 2, blockSize: 2), memoryBudget: 1 << 30)
        let hello = Hello(
            softwareVersion: "1", identity: WorkerID(high: 1, low: 2), host: "node", process: 4,
            processor: "cpu")
        let shard = ShardContent(shard: 1, content: ContentID(sha256: hash, size: 100))
        let up: [WorkerMessage] = [
            .hello(hello), .ready(shards: [0, 1]), .ready(shards: [], proof: hash), .askStatus,
            .fetch(ChunkRequest(sha256: hash, offset: 5, count: 9)), .result(result), .cancelled(id),
            .alive(computed: 3),
            .handover(Handover(key: key, result: result)),
            .failed(TaskFailure(id: id, reason: "no", isPermanent: true)),
            .goodbye(reason: "bye", failed: true),
        ]
        let down: [CoordinatorMessage] = [
            .welcome(run), .refused(reason: "no"), .task(order), .acknowledged(id), .cancel(id.task),
            .stop(reason: "over"), .alive, .introduce, .hold([shard]),
            .chunk(Chunk(sha256: hash, offset: 5, bytes: Data([1, 2, 3]))), .status(json: Data("{}".utf8)),
            .missing(sha256: hash, reason: "gone"),
        ]
        return (try up.map { try wire.encode($0) }, try down.map { try wire.encode($0) })
    }

    private static func journal() throws -> Data {
        let folder = "\(NSTemporaryDirectory())/espalier-fuzz-seed-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        do {
            let identity = RunIdentity(
                modelPath: "resnet.onnx", modelSHA256: "aa11", dataPath: "digits.npz", dataSHA256: "bb22",
                settings: "{}", version: "1.0", commandLine: ["prune", "resnet.onnx"])
            let journal = try RunJournal.create(in: folder, identity: identity)
            let results = (0..<6).map { index -> WorkRecord in
                let item = LossItem(
                    state: Variant(Mask([Edge(node: index / 3, slot: 0)])),
                    block: BlockID(shard: 0, index: index), samples: [0, 1, 2],
                    units: [index % 3 == 0 ? nil : Unit(Edge(node: 9, slot: index))])
                let scores = SampleScores(
                    losses: [1, 2, .infinity], correct: index % 2 == 0 ? [] : [1, 0, 1])
                return WorkRecord(
                    key: WorkKey(kind: LossItem.kind, stage: 2, payload: item.payload),
                    result: LossItem.result([scores]))
            }
            try journal.keep(results)
            let unit = Unit(Edge(node: 9, slot: 1))
            let state = State(
                variant: Variant(.empty).removing(unit), unit: unit, loss: 0.5, objective: 0.25, correct: 3,
                sampleLosses: [], cost: Cost(parameters: 10, flops: 20), nonFiniteLosses: 0)
            try journal.finish(stage: 2, outcome: [StateRecord(state)], notes: WorkCount())
        }
        return try Data(contentsOf: URL(filePath: "\(folder)/\(journalName)"))
    }
}
