import Foundation
import Testing

@testable import Journal

@Suite struct OpeningTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func aNewRunsFolderIsMadeAndKnowsWhatTheRunIsMadeFrom() throws {
        let nested = folder.path + "/a/b/c"
        let start = Date()
        do {
            let journal = try RunJournal.create(in: nested, identity: .sample)
            #expect(journal.identity == .sample)
        }
        let journal = try RunJournal.open(readOnlyIn: nested)
        #expect(journal.identity == .sample)
        #expect(abs(journal.created.timeIntervalSince(start)) < 60)
    }

    @Test func aFolderThatHoldsARunIsNotOverwrittenAndTheErrorTellsAboutResume() throws {
        do { _ = try RunJournal.create(in: folder.run, identity: .sample) }
        let before = contents(folder.database)
        let error = #expect(throws: JournalError.alreadyHoldsRun(folder: folder.run)) {
            _ = try RunJournal.create(in: folder.run, identity: .sample)
        }
        #expect(error?.description.contains("--resume") == true)
        #expect(contents(folder.database) == before)
    }

    @Test func aFolderWithoutARunCanBeNeitherResumedNorRead() {
        #expect(throws: JournalError.noRun(folder: folder.run)) {
            _ = try RunJournal.resume(in: folder.run, identity: .sample)
        }
        #expect(throws: JournalError.noRun(folder: folder.run)) {
            _ = try RunJournal.open(readOnlyIn: folder.run)
        }
        #expect(!FileManager.default.fileExists(atPath: folder.run))
    }

    @Test func aCrashBeforeTheJournalWasReadyLeavesAFolderThatTakesANewRun() throws {
        try FileManager.default.createDirectory(atPath: folder.run, withIntermediateDirectories: true)
        try Data("half a database".utf8).write(to: URL(fileURLWithPath: folder.database + ".new"))
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.keep([sampleRecord(1)])
        #expect(try journal.records(ofStage: 1) == [sampleRecord(1)])
    }

    @Test func resumingWithAnotherModelDataOrSettingNamesTheFieldAndBothValues() throws {
        do { _ = try RunJournal.create(in: folder.run, identity: .sample) }
        func message(_ change: (inout RunIdentity) -> Void) -> String {
            var identity = RunIdentity.sample
            change(&identity)
            do {
                _ = try RunJournal.resume(in: folder.run, identity: identity)
                return ""
            } catch { return error.description }
        }
        let model = message {
            $0.modelPath = "other.onnx"
            $0.modelSHA256 = "cc33"
        }
        for part in ["model", "resnet.onnx", "aa11", "other.onnx", "cc33"] { #expect(model.contains(part)) }
        let data = message { $0.dataSHA256 = "dd44" }
        for part in ["data", "bb22", "dd44"] { #expect(data.contains(part)) }
        let setting = message { $0.settings = #"{"blockSize":64,"strategy":{"beam":{"width":8}}}"# }
        for part in ["'strategy.beam.width'", "with 4", "and 8"] { #expect(setting.contains(part)) }
        let added = message { $0.settings = #"{"blockSize":64,"steps":2,"strategy":{"beam":{"width":4}}}"# }
        for part in ["'steps'", "with nothing", "and 2"] { #expect(added.contains(part)) }
        // 2^53 and 2^53 + 1 are the same Double.
        let large = message {
            $0.settings = #"{"blockSize":9007199254740993,"strategy":{"beam":{"width":4}}}"#
        }
        #expect(large.contains("9007199254740993"))
    }

    @Test func whatDoesNotDecideTheResultMayDifferOnResume() throws {
        do { _ = try RunJournal.create(in: folder.run, identity: .sample) }
        var identity = RunIdentity.sample
        identity.modelPath = "elsewhere/resnet.onnx"
        identity.dataPath = "elsewhere/digits.npz"
        identity.commandLine = ["prune", "--resume"]
        identity.settings = #"{ "strategy": {"beam": {"width": 4}}, "blockSize": 64 }"#
        #expect(try RunJournal.resume(in: folder.run, identity: identity).identity == .sample)
    }

    @Test func aRunOfAnotherVersionIsResumedOnlyWhereThatIsAskedFor() throws {
        do { _ = try RunJournal.create(in: folder.run, identity: .sample) }
        var identity = RunIdentity.sample
        identity.version = "1.1"
        let error = #expect(
            throws: JournalError.otherVersion(folder: folder.run, recorded: "1.0", own: "1.1")
        ) { _ = try RunJournal.resume(in: folder.run, identity: identity) }
        #expect(error?.description.contains("--allow-other-version") == true)
        let journal = try RunJournal.resume(in: folder.run, identity: identity, allowsOtherVersion: true)
        #expect(journal.identity.version == "1.0")
    }

    @Test func settingsThatOnlyEndARunTakeThePlaceOfThoseOnRecordAndOpenItAgain() throws {
        var longer = RunIdentity.sample
        longer.settings = #"{"steps":4}"#
        longer.commandLine = ["prune", "--steps", "4"]
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            try journal.finish(stage: 1, outcome: ["a"], notes: 17)
            try journal.complete(["a"])
        }
        do {
            let journal = try RunJournal.resume(in: folder.run, identity: longer) { _, _ in
                .ending(reopens: true)
            }
            #expect(try !journal.isComplete)
            #expect(try journal.finishedStages(outcome: [String].self, notes: Int.self).isEmpty)
            // What it comes to now may differ; what it took the first time stays.
            try journal.finish(stage: 1, outcome: ["a", "b"], notes: 99)
            let stages = try journal.finishedStages(outcome: [String].self, notes: Int.self)
            #expect(stages.map(\.outcome) == [["a", "b"]] && stages.map(\.notes) == [17])
        }
        let journal = try RunJournal.open(readOnlyIn: folder.run)
        #expect(journal.identity.settings == longer.settings)
        #expect(journal.identity.commandLine == longer.commandLine)
    }

    @Test func aSecondCoordinatorIsRefusedAndToldWhichProcessIsAtWork() throws {
        let first = try RunJournal.create(in: folder.run, identity: .sample)
        let holder = Int(ProcessInfo.processInfo.processIdentifier)
        let error = #expect(throws: JournalError.locked(folder: folder.run, process: holder)) {
            _ = try RunJournal.resume(in: folder.run, identity: .sample)
        }
        #expect(error?.description.contains("process \(holder)") == true)
        #expect(throws: JournalError.locked(folder: folder.run, process: holder)) {
            _ = try RunJournal.create(in: folder.run, identity: .sample)
        }
        try first.keep([sampleRecord(1)])
    }

    @Test func theRunIsFreeOnceItsCoordinatorIsGone() throws {
        for index in 0..<3 {
            let journal =
                index == 0
                ? try RunJournal.create(in: folder.run, identity: .sample)
                : try RunJournal.resume(in: folder.run, identity: .sample)
            try journal.keep([sampleRecord(index)])
        }
        #expect(try RunJournal.open(readOnlyIn: folder.run).records(ofStage: 1) == (0..<3).map(sampleRecord))
    }

    @Test func aReaderSeesWhatARunningCoordinatorHasRecorded() throws {
        let writer = try RunJournal.create(in: folder.run, identity: .sample)
        let reader = try RunJournal.open(readOnlyIn: folder.run)
        for index in 0..<5 {
            try writer.keep([sampleRecord(index)])
            #expect(try reader.records(ofStage: 1) == (0...index).map(sampleRecord))
        }
        let error = #expect(throws: JournalError.self) { try reader.keep([sampleRecord(9)]) }
        #expect(error?.description.contains("opened to be read") == true)
    }
}
