import Coordination
import Foundation
import Search
import Synchronization
import Testing
import Work

@testable import Cluster

/// What is left to look at when the work ends with an error.
@Suite(.timeLimit(.minutes(2))) struct PostMortemTests {
    /// What was handed over, each time.
    private final class Reports: Sendable {
        private let kept = Mutex<[[String]]>([])
        var all: [[String]] { kept.withLock { $0 } }
        func add(_ lines: [String]) { kept.withLock { $0.append(lines) } }
    }

    private struct Broken: Computation {
        let shards = [0, 1]
        func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
            throw PermanentFailure("node 3 (conv1, Conv): no")
        }
    }

    private func runner(
        _ problem: SmallProblem, _ reports: Reports, journal: MemoryJournal? = nil,
        progress: @escaping @Sendable (any WorkSource) throws -> Void = { _ in }
    ) throws -> ClusterRunner {
        try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(), journal: journal, logger: quiet,
            postMortem: { reports.add($0) }, progress: progress)
    }

    @Test func workThatCannotBeDoneLeavesItsLastEventsAndTheError() async throws {
        let (problem, reports) = (try SmallProblem(), Reports())
        let runner = try runner(problem, reports)
        defer { runner.shutdown() }
        let worker = try WorkerThread(runner.endpoint) { _ in Broken() }
        await #expect(throws: CoordinationError.self) { try await runner.run(problem.base) }
        #expect(reports.all.count == 1)
        let lines = reports.all.first ?? []
        #expect(lines.allSatisfy { !$0.contains("\n") })
        // In the order of events: the work begins, a task goes out, it fails, and that is the end.
        let expected = [
            "begin losses, stage 1, 0 results on record", "losses, ", "failed ", "the work ends: block ",
        ]
        let places = expected.map { text in lines.firstIndex { $0.contains(text) } ?? -1 }
        #expect(!places.contains(-1) && places == places.sorted(), "\(places)")
        #expect(lines.contains { $0.contains("hello of worker") && $0.contains(" < ") })
        #expect(lines.last?.contains("node 3 (conv1, Conv): no") == true)
        runner.shutdown()
        #expect(try await worker.end() != nil)
        #expect(reports.all.count == 1, "the end of the run is no error")
    }

    @Test func aResultThatCannotBeKeptLeavesThemToo() async throws {
        let (problem, reports) = (try SmallProblem(), Reports())
        let runner = try runner(problem, reports, journal: MemoryJournal(limit: 2))
        defer { runner.shutdown() }
        let worker = try WorkerThread(runner.endpoint)
        await #expect(throws: MemoryJournal.Full.self) { try await runner.run(problem.base) }
        #expect(reports.all.count == 1)
        let lines = reports.all.first ?? []
        #expect(lines.count { $0.contains(" > journal losses, stage 1") } >= 3)
        #expect(lines.last?.contains("the work ends: Full()") == true)
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }

    @Test func anInterruptionLeavesNone() async throws {
        let (problem, reports, journal) = (try SmallProblem(), Reports(), MemoryJournal())
        let runner = try runner(problem, reports, journal: journal)
        let gate = Gate(after: 1)
        let worker = try WorkerThread(runner.endpoint) { FakeComputation($0, gate: gate) }
        let work = Task { _ = try await runner.run(problem.base) }
        while journal.count < 1 { try await Task.sleep(for: .milliseconds(10)) }
        runner.interrupt()
        await #expect(throws: ClusterError.interrupted) { try await work.value }
        runner.shutdown()
        gate.open()
        #expect(try await worker.end() != nil)
        #expect(reports.all.isEmpty)
    }

    @Test func theEndOfTheRunLeavesNoneEvenInTheMiddleOfWork() async throws {
        let (problem, reports, journal) = (try SmallProblem(), Reports(), MemoryJournal())
        let runner = try runner(problem, reports, journal: journal)
        let gate = Gate(after: 1)
        let worker = try WorkerThread(runner.endpoint) { FakeComputation($0, gate: gate) }
        let work = Task { _ = try await runner.run(problem.base) }
        while journal.count < 1 { try await Task.sleep(for: .milliseconds(10)) }
        runner.shutdown()
        await #expect(throws: ClusterError.shutDown) { try await work.value }
        gate.open()
        #expect(try await worker.end() != nil)
        #expect(reports.all.isEmpty)
    }

    @Test func workThatIsFinishedLeavesNone() async throws {
        let (problem, reports) = (try SmallProblem(), Reports())
        let runner = try runner(problem, reports)
        let worker = try WorkerThread(runner.endpoint)
        #expect(try await problem.search(runner) == problem.expected())
        runner.shutdown()
        #expect(try await worker.end() != nil)
        #expect(reports.all.isEmpty)
    }
}
