import ComputationGraph
import Coordination
import Datasets
import Foundation
import Search
import Synchronization
import Testing
import Work
import ZeroMQ

@testable import Cluster

/// Coordinators that die and computations that hang, over real sockets.
@Suite(.timeLimit(.minutes(2))) struct RecoveryTests {
    private final class Blocks: Sendable {
        private let blocks = Mutex<[BlockID]>([])
        var all: [BlockID] { blocks.withLock { $0 } }
        func add(_ block: BlockID) { blocks.withLock { $0.append(block) } }
    }

    private struct Counted: Computation {
        let fake: FakeComputation
        let blocks: Blocks
        var shards: [Int] { fake.shards }

        func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
            let item = try LossItem(payload: key.payload)
            if item.state.mask.isEmpty, item.units == [nil] { blocks.add(item.block) }
            return try fake.perform(key, hints: hints, contents: contents)
        }
    }

    /// A coordinator of the run that gives one task of the full model, sees its result, and is gone.
    private static func dieAfterOneResult(_ endpoint: String, _ run: RunDescription) throws {
        let wire = Wire()
        let socket = try Socket(.router, in: Context())
        try socket.set(.receiveTimeout, .seconds(5))
        try socket.set(.linger, .zero)
        try socket.bind(to: endpoint)
        while let frames = try socket.receive(blocking: true) {
            func answer(_ message: CoordinatorMessage) throws {
                _ = try socket.send(
                    [Frame(frames[0].bytes), Frame(try wire.encode(message))], blocking: true)
            }
            switch try wire.decodeWorkerMessage(frames[1].data) {
            case .hello: try answer(.welcome(run))
            case .ready:
                let item = LossItem(
                    state: Variant(.empty), block: BlockID(shard: 0, index: 2), samples: [8, 9, 10, 11],
                    units: [nil])
                // The full model is measured in stage 1.
                let key = WorkKey(kind: LossItem.kind, stage: 1, payload: item.payload)
                let id = AttemptID(TaskID(run.session | 1), 1)
                try answer(.task(WorkOrder(id: id, key: key, deadline: .seconds(60))))
            case .result:
                socket.close()
                if endpoint.hasPrefix("ipc://") { unlink(String(endpoint.dropFirst("ipc://".count))) }
                return
            default: break
            }
        }
        Issue.record("the worker has not answered")
    }

    @Test func whatAWorkerFinishedForACoordinatorThatDiedIsNotComputedAgain() async throws {
        let problem = try SmallProblem()
        let endpoint = uniqueEndpoint()
        let settings = problem.settings()
        let run = RunDescription(
            session: 9 << 32, modelPath: settings.run.modelPath, modelSHA256: settings.run.modelSHA256,
            dataPath: settings.run.dataPath, dataSHA256: settings.run.dataSHA256, sampleLimit: nil,
            setup: settings.run.setup, sharding: settings.run.sharding, heartbeat: settings.run.heartbeat)
        let blocks = Blocks()
        let worker = try WorkerThread(endpoint) { Counted(fake: FakeComputation($0), blocks: blocks) }
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            Thread { done.resume(with: Result { try Self.dieAfterOneResult(endpoint, run) }) }.start()
        }
        #expect(blocks.all == [BlockID(shard: 0, index: 2)])
        let journal = MemoryJournal()
        let runner = try ClusterRunner(settings, endpoint: endpoint, journal: journal, logger: quiet)
        #expect(try await problem.search(runner) == problem.expected())
        runner.shutdown()
        #expect(try await worker.end() != nil)
        #expect(
            blocks.all.sorted() == problem.base.level.parents[0].blocks.ids,
            "each block of the full model once")
    }

    @Test func aComputationThatNeverEndsEndsItsWorkerAndAnotherOneFinishes() async throws {
        let problem = try SmallProblem()
        var settings = problem.settings()
        settings.firstLease = .milliseconds(50)
        let runner = try ClusterRunner(settings, endpoint: uniqueEndpoint(), logger: quiet)
        let gate = Gate(after: 0)
        async let found = problem.search(runner)
        let ending = Mutex<WorkerEnding?>(nil)
        let service = try WorkerService(endpoint: runner.endpoint, softwareVersion: "test", logger: quiet)
        Thread {
            // As a process would end itself.
            _ = service.run(
                whenOver: { over in
                    ending.withLock { $0 = over }
                    gate.open()
                }, loading: { run, _ in FakeComputation(run, gate: gate) })
        }.start()
        while ending.withLock({ $0 == nil }) { try await Task.sleep(for: .milliseconds(20)) }
        guard case .stuck? = ending.withLock({ $0 }) else {
            Issue.record("the worker ended otherwise")
            return
        }
        let worker = try WorkerThread(runner.endpoint)
        #expect(try await found == problem.expected())
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }
}
