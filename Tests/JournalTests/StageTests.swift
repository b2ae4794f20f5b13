import Foundation
import Testing
import Work

@testable import Journal

@Suite struct StageTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// What some kind of stage comes to, in whatever form its owner likes.
    private struct Outcome: Codable, Equatable {
        var states: [String] = []
        var losses: [Double] = []
        var correct: Int?
    }

    private struct Notes: Codable, Equatable {
        var tasks = 0
        var bounds: [Double] = []
    }

    private let notes = Notes(tasks: 9, bounds: [.infinity, 1.0 / 7])

    private func stages(_ journal: RunJournal) throws -> [FinishedStage<Outcome, Notes>] {
        try journal.finishedStages(outcome: Outcome.self, notes: Notes.self)
    }

    @Test func finishedStagesComeBackToTheBit() throws {
        // 1/3 and 0.1 + 0.2 need all 17 digits; the last but two is the smallest subnormal.
        let losses = [1.0 / 3, 0.1 + 0.2, Double.leastNonzeroMagnitude, .infinity, -.infinity, -0.0]
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.finish(
            stage: 3, outcome: Outcome(states: ["{4:0}"], losses: losses, correct: 7), notes: notes)
        try journal.finish(stage: 1, outcome: Outcome(losses: [0.5]), notes: Notes())
        let read = try stages(RunJournal.open(readOnlyIn: folder.run))
        #expect(read.map(\.number) == [1, 3])
        #expect(read[0].outcome == Outcome(losses: [0.5]) && read[0].notes == Notes())
        #expect(read[1].outcome.losses.map(\.bitPattern) == losses.map(\.bitPattern))
        #expect(read[1].outcome.states == ["{4:0}"] && read[1].outcome.correct == 7)
        #expect(read[1].notes == notes)
    }

    @Test func aStageThatIsOnlyBegunIsNotFinished() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.keep([sampleRecord(1)])
        #expect(try stages(journal).isEmpty)
        try journal.finish(stage: 1, outcome: Outcome(losses: [1]), notes: notes)
        #expect(try stages(journal).map(\.number) == [1])
        #expect(try journal.records(ofStage: 1) == [sampleRecord(1)])
    }

    @Test func aStageFinishedAgainKeepsItsNotesAndMustComeToTheSame() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.finish(stage: 1, outcome: Outcome(losses: [0.3]), notes: notes)
        try journal.finish(stage: 1, outcome: Outcome(losses: [0.3]), notes: Notes())
        #expect(try stages(journal)[0].notes == notes)
        let file = folder.database
        #expect(throws: JournalError.differentOutcome(file: file, stage: 1)) {
            try journal.finish(stage: 1, outcome: Outcome(losses: [(0.3).nextUp]), notes: notes)
        }
        #expect(try stages(journal).map(\.outcome) == [Outcome(losses: [0.3])])
    }

    @Test func anOutcomeOfAnotherFormIsNamedAsDamage() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.finish(stage: 1, outcome: ["no", "outcome"], notes: notes)
        let error = #expect(throws: JournalError.self) { _ = try stages(journal) }
        #expect(error?.description.contains("'outcome'") == true)
    }

    @Test func aRunIsCompleteOnceItsOutcomeIsKept() throws {
        let end = Outcome(states: ["{1:0}"], losses: [0.1 + 0.2], correct: 3)
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            #expect(try !journal.isComplete)
            #expect(try journal.outcome(as: Outcome.self) == nil)
            try journal.complete(end)
            #expect(try journal.isComplete)
        }
        let journal = try RunJournal.resume(in: folder.run, identity: .sample)
        #expect(try journal.isComplete)
        #expect(try journal.outcome(as: Outcome.self) == end)
    }

    @Test func aCompleteRunIsOneFileThatNeedsNoLog() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.keep([sampleRecord(1)])
        try journal.complete(Outcome())
        let copy = folder.path + "/copy"
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        try contents(folder.database).write(to: URL(fileURLWithPath: copy + "/journal.sqlite"))
        #expect(try RunJournal.open(readOnlyIn: copy).records(ofStage: 1) == [sampleRecord(1)])
    }
}
