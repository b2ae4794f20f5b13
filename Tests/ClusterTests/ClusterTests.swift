import Coordination
import Datasets
import Foundation
import Search
import Testing
import Work
import ZeroMQ

@testable import Cluster

@Suite(.timeLimit(.minutes(2))) struct ClusterTests {
    @Test(arguments: ["inproc", "ipc"], [1, 2, 5])
    func workersFindWhatOneProcessFinds(scheme: String, count: Int) async throws {
        let problem = try SmallProblem()
        let context = try Context()
        let runner = try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(scheme), context: context, logger: quiet)
        let workers = try (0..<count).map { _ in try WorkerThread(runner.endpoint, context: context) }
        #expect(try await problem.search(runner) == problem.expected())
        runner.shutdown()
        for worker in workers { #expect(try await worker.end() == .finished(reason: "the run is over")) }
    }

    @Test func encryptedWorkersFindTheSameOverTCP() async throws {
        let problem = try SmallProblem()
        let (server, client) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        let runner = try ClusterRunner(
            problem.settings(), endpoint: "tcp://127.0.0.1:*",
            keys: CoordinatorKeys(secretKey: server.secretKey, allowed: [client.publicKey]), logger: quiet)
        let worker = try WorkerThread(
            runner.endpoint, keys: WorkerKeys(own: client, coordinator: server.publicKey))
        #expect(try await problem.search(runner) == problem.expected())
        runner.shutdown()
        #expect(try await worker.end() == .finished(reason: "the run is over"))
    }

    @Test func aWrongKeyIsANamedErrorAndNeverAHang() async throws {
        let problem = try SmallProblem()
        let (server, client, stranger) = (
            try CurveKeyPair.generate(), try CurveKeyPair.generate(), try CurveKeyPair.generate()
        )
        let runner = try ClusterRunner(
            problem.settings(), endpoint: "tcp://127.0.0.1:*",
            keys: CoordinatorKeys(secretKey: server.secretKey, allowed: [client.publicKey]), logger: quiet)
        defer { runner.shutdown() }
        let unknown = try WorkerThread(
            runner.endpoint, keys: WorkerKeys(own: stranger, coordinator: server.publicKey))
        guard case .refused(let reason) = try await unknown.end() else {
            Issue.record("a worker whose key is not on the list was not refused")
            return
        }
        #expect(reason.contains("not on the list"))
    }

    @Test func anEndpointThatOthersCanReachNeedsKeys() throws {
        let problem = try SmallProblem()
        #expect(throws: ClusterError.keysMissing(endpoint: "tcp://127.0.0.1:*")) {
            try ClusterRunner(problem.settings(), endpoint: "tcp://127.0.0.1:*", logger: quiet)
        }
        #expect(throws: ClusterError.keysMissing(endpoint: "tcp://127.0.0.1:1")) {
            try WorkerService(endpoint: "tcp://127.0.0.1:1", softwareVersion: "test")
        }
    }

    @Test func workersWaitForACoordinatorThatComesLater() async throws {
        let problem = try SmallProblem()
        let endpoint = uniqueEndpoint()
        let worker = try WorkerThread(endpoint)
        try await Task.sleep(for: .milliseconds(300))
        let runner = try ClusterRunner(problem.settings(), endpoint: endpoint, logger: quiet)
        #expect(try await problem.search(runner) == problem.expected())
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }

    @Test func anotherSoftwareVersionIsRefusedByName() async throws {
        let problem = try SmallProblem()
        let runner = try ClusterRunner(problem.settings(), endpoint: uniqueEndpoint(), logger: quiet)
        defer { runner.shutdown() }
        let worker = try WorkerThread(runner.endpoint, version: "other")
        #expect(
            try await worker.end()
                == .refused(reason: "the worker's software version is other, the coordinator's test"))
    }

    @Test func aRunThatNoWorkerCanLoadStopsWithTheReason() async throws {
        struct Missing: Error, CustomStringConvertible { let description = "data.npz: no such file" }
        let problem = try SmallProblem()
        let runner = try ClusterRunner(problem.settings(), endpoint: uniqueEndpoint(), logger: quiet)
        defer { runner.shutdown() }
        let workers = try (0..<3).map { _ in try WorkerThread(runner.endpoint) { _ in throw Missing() } }
        await #expect(throws: CoordinationError.cannotLoad(reason: "data.npz: no such file")) {
            try await runner.run(problem.base)
        }
        for worker in workers {
            #expect(try await worker.end() == .cannotLoad(reason: "data.npz: no such file"))
        }
    }

    @Test func aPermanentFailureStopsTheRunAndNamesTheWork() async throws {
        struct Broken: Computation {
            let shards = [0, 1]
            func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
                throw PermanentFailure("node 3 (conv1, Conv): no")
            }
        }
        let problem = try SmallProblem()
        let runner = try ClusterRunner(problem.settings(), endpoint: uniqueEndpoint(), logger: quiet)
        defer { runner.shutdown() }
        let worker = try WorkerThread(runner.endpoint) { _ in Broken() }
        await #expect {
            try await runner.run(problem.base)
        } throws: { error in
            "\(error)".contains("cannot be computed: node 3 (conv1, Conv): no")
        }
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }

    @Test func anInterruptedRunKeepsWhatArrivedAndGoesOnFromThere() async throws {
        let problem = try SmallProblem()
        let journal = MemoryJournal()
        let first = try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(), journal: journal, logger: quiet)
        let gate = Gate(after: 3)
        let slow = try WorkerThread(first.endpoint) { FakeComputation($0, gate: gate) }
        let outcome = Task {
            _ = try await first.run(problem.base)
        }
        while journal.count < 3 { try await Task.sleep(for: .milliseconds(10)) }
        first.interrupt()
        await #expect(throws: ClusterError.interrupted) { try await outcome.value }
        first.shutdown()
        gate.open()
        #expect(try await slow.end() != nil)
        #expect(journal.count == 3, "of the full model's ten blocks")

        let second = try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(), journal: journal, logger: quiet)
        let worker = try WorkerThread(second.endpoint)
        #expect(try await problem.search(second) == problem.expected())
        #expect(try journal.records(ofStage: problem.base.stage).count == 10, "nothing was computed twice")
        second.shutdown()
        #expect(try await worker.end() != nil)
    }

    @Test func aResultThatCannotBeKeptStopsTheRun() async throws {
        let problem = try SmallProblem()
        let runner = try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(), journal: MemoryJournal(limit: 2), logger: quiet)
        defer { runner.shutdown() }
        let worker = try WorkerThread(runner.endpoint)
        await #expect(throws: MemoryJournal.Full.self) {
            try await runner.run(problem.base)
        }
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }

    @Test func whatProgressThrowsEndsTheLevel() async throws {
        struct Enough: Error {}
        let problem = try SmallProblem()
        let runner = try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(), logger: quiet,
            progress: { source in
                if let race = source as? LevelRace, race.workSoFar.blockEvaluations > 2 { throw Enough() }
            })
        defer { runner.shutdown() }
        let worker = try WorkerThread(runner.endpoint) { FakeComputation($0, delay: .milliseconds(30)) }
        await #expect(throws: Enough.self) {
            try await runner.run(problem.base)
        }
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }

    @Test func afterShutdownNothingIsEvaluated() async throws {
        let problem = try SmallProblem()
        let runner = try ClusterRunner(problem.settings(), endpoint: uniqueEndpoint(), logger: quiet)
        runner.shutdown()
        await #expect(throws: ClusterError.shutDown) {
            try await runner.run(problem.base)
        }
    }
}
