import ComputationGraph
import Foundation
import Search
import Testing

@testable import Journal

@Suite struct LevelTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func state(_ nodes: [Int], loss: Double, objective: Double = 0.25, correct: Int? = 7) -> State {
        State(
            mask: Mask(nodes.map { Edge(node: $0, slot: 0) }),
            edge: nodes.last.map { Edge(node: $0, slot: 0) },
            loss: loss, objective: objective, correct: correct, sampleLosses: [1, .nan, 2],
            cost: Cost(parameters: 12, flops: 34))
    }

    private var work: WorkCount {
        var work = WorkCount()
        work.candidates = 18
        work.blockEvaluations = 71
        work.bruteForceBlockEvaluations = 576
        work.clairvoyantBlockEvaluations = 60
        work.tasks = 9
        return work
    }

    @Test func finishedLevelsComeBackToTheBit() throws {
        // 1/3 and 0.1 + 0.2 need all 17 digits; the last is the smallest subnormal.
        let losses = [1.0 / 3, 0.1 + 0.2, Double.leastNonzeroMagnitude, .infinity, -0.0]
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.finish(level: 0, states: [state([], loss: 0.5, correct: nil)], work: WorkCount())
        try journal.finish(
            level: 2, states: losses.map { state([4, 3], loss: $0, objective: $0) }, work: work,
            dropped: [
                (Mask([Edge(node: 9, slot: 1)]), 1.0 / 7), (Mask([Edge(node: 2, slot: 0)]), .infinity),
            ])
        let levels = try RunJournal.open(readOnlyIn: folder.run).finishedLevels()
        #expect(levels.map(\.number) == [0, 2])
        #expect(levels[0].states[0].correct == nil)
        #expect(levels[0].states[0].edge == nil)
        #expect(levels[0].states[0].nonFiniteLosses == 1)
        #expect(levels[1].states.map(\.loss.bitPattern) == losses.map(\.bitPattern))
        #expect(levels[1].states.map(\.objective.bitPattern) == losses.map(\.bitPattern))
        #expect(levels[1].states[0].mask == Mask([Edge(node: 3, slot: 0), Edge(node: 4, slot: 0)]))
        #expect(levels[1].states[0].edge == Edge(node: 3, slot: 0))
        #expect(levels[1].states[0].correct == 7)
        #expect(levels[1].states[0].cost == Cost(parameters: 12, flops: 34))
        #expect(levels[1].work == work)
        #expect(
            levels[1].dropped.map(\.mask) == [Mask([Edge(node: 2, slot: 0)]), Mask([Edge(node: 9, slot: 1)])])
        #expect(levels[1].dropped.map(\.bound) == [.infinity, 1.0 / 7])
    }

    @Test func aLevelThatIsOnlyBegunIsNotFinished() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.record([sampleResult(1)], level: 1)
        #expect(try journal.finishedLevels().isEmpty)
        try journal.finish(level: 1, states: [state([1], loss: 1)], work: work)
        #expect(try journal.finishedLevels().map(\.number) == [1])
        #expect(try journal.results(ofLevel: 1) == [sampleResult(1)])
    }

    @Test func aLevelFinishedAgainKeepsItsWorkAndMustHaveTheSameStates() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.finish(level: 1, states: [state([1], loss: 0.3)], work: work)
        try journal.finish(level: 1, states: [state([1], loss: 0.3)], work: WorkCount())
        #expect(try journal.finishedLevels()[0].work == work)
        let file = folder.database
        #expect(throws: JournalError.differentOutcome(file: file, level: 1)) {
            try journal.finish(level: 1, states: [state([1], loss: (0.3).nextUp)], work: work)
        }
        #expect(try journal.finishedLevels()[0].states[0].loss == 0.3)
    }

    @Test func aRunIsCompleteOnceItsOutcomeIsKept() throws {
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            #expect(try !journal.isComplete)
            #expect(try journal.outcome() == nil)
            try journal.complete(RunOutcome(path: [state([1], loss: 0.1 + 0.2)], seconds: 12.5, workers: 3))
            #expect(try journal.isComplete)
        }
        let journal = try RunJournal.resume(in: folder.run, identity: .sample)
        #expect(try journal.isComplete)
        let outcome = try #require(try journal.outcome())
        #expect(outcome.path.map(\.loss) == [0.1 + 0.2])
        #expect(outcome.seconds == 12.5)
        #expect(outcome.workers == 3)
    }

    @Test func aCompleteRunIsOneFileThatNeedsNoLog() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.record([sampleResult(1)], level: 1)
        try journal.complete(RunOutcome(path: [], seconds: 1, workers: 1))
        let copy = folder.path + "/copy"
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        try contents(folder.database).write(to: URL(fileURLWithPath: copy + "/journal.sqlite"))
        #expect(try RunJournal.open(readOnlyIn: copy).results(ofLevel: 1) == [sampleResult(1)])
    }
}
