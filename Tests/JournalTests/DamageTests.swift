import Foundation
import Testing

@testable import Journal

@Suite struct DamageTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A closed journal of 40 results.
    private func makeJournal() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.keep((0..<40).map(sampleRecord))
        try journal.finish(stage: 0, outcome: [0.5, 1 / 3], notes: "none")
    }

    private func put(_ data: Data) throws {
        for path in [folder.log, folder.database + "-shm"] {
            try? FileManager.default.removeItem(atPath: path)
        }
        try data.write(to: URL(fileURLWithPath: folder.database))
    }

    /// The errors of resuming and of opening to read.
    private func errors() -> [JournalError?] { [resumingError(), readingError()] }

    private func resumingError() -> JournalError? {
        do {
            _ = try RunJournal.resume(in: folder.run, identity: .sample)
            return nil
        } catch { return error }
    }

    private func readingError() -> JournalError? {
        do {
            _ = try RunJournal.open(readOnlyIn: folder.run)
            return nil
        } catch { return error }
    }

    @Test func anotherProgramsDatabaseIsNoJournal() throws {
        try makeJournal()
        // SQLite's file format, section 1.3: the application id is the big-endian integer at offset 68.
        var data = contents(folder.database)
        #expect(Array(data[68..<72]) == Array("Espa".utf8))
        data.replaceSubrange(68..<72, with: [0, 0, 0, 7])
        try put(data)
        #expect(errors() == [.foreignFile(folder.database), .foreignFile(folder.database)])
    }

    @Test func aNewerLayoutIsNamedWithBothVersions() throws {
        try makeJournal()
        // The user version is the big-endian integer at offset 60.
        var data = contents(folder.database)
        data.replaceSubrange(60..<64, with: [0, 0, 0, 9])
        try put(data)
        let error = JournalError.newerLayout(file: folder.database, version: 9, supported: 4)
        #expect(errors() == [error, error])
        #expect(error.description.contains("layout 9"))
    }

    @Test(arguments: [0, 1, 99, 100, 512, 4096, 5000, 8192, 12_288])
    func aTruncatedFileIsRefusedWithASentence(length: Int) throws {
        try makeJournal()
        let whole = contents(folder.database)
        try #require(whole.count > length)
        try put(whole.prefix(length))
        let error = try #require(resumingError())
        switch error {
        case .damaged(let file, _), .foreignFile(let file), .failed(let file, _):
            #expect(file == folder.database)
        default: Issue.record("unexpected: \(error)")
        }
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        try makeJournal()
        try put(Data(String(repeating: "no database at all ", count: 999).utf8))
        for error in errors() {
            guard case .damaged = error else {
                Issue.record("unexpected: \(String(describing: error))")
                continue
            }
        }
    }

    @Test func flippedBytesGiveResultsOrASentenceButNeverATrap() throws {
        try makeJournal()
        let whole = contents(folder.database)
        var random = SeededNumbers(seed: 20_240_501)
        var refused = 0
        for _ in 0..<400 {
            var data = whole
            // Mostly among the pages' headers, where structure is; else anywhere.
            for _ in 0..<Int.random(in: 1...20, using: &random) {
                let page = Int.random(in: 0..<data.count / 4096, using: &random) * 4096
                let reach = Bool.random(using: &random) ? 4096 : 120
                data[page + Int.random(in: 0..<reach, using: &random)] = UInt8.random(
                    in: 0...255, using: &random)
            }
            try put(data)
            do throws(JournalError) {
                let journal = try RunJournal.open(readOnlyIn: folder.run)
                _ = try journal.records(ofStage: 1)
                _ = try journal.finishedStages(outcome: [Double].self, notes: String.self)
                _ = try journal.outcome(as: String.self)
            } catch { refused += 1 }
            if let error = resumingError() { #expect(!error.description.isEmpty) }
        }
        #expect(refused > 0)
    }

    @Test func aFolderThatCannotBeMadeIsNamed() throws {
        let file = folder.path + "/file"
        try Data().write(to: URL(fileURLWithPath: file))
        let error = #expect(throws: JournalError.self) {
            _ = try RunJournal.create(in: file + "/run", identity: .sample)
        }
        #expect(error?.description.hasPrefix("\(file)/run: it cannot be written: ") == true)
    }

    @Test(.disabled(if: geteuid() == 0, "the superuser may write anywhere"))
    func aReadOnlyFolderIsNamed() throws {
        try FileManager.default.createDirectory(atPath: folder.run, withIntermediateDirectories: true)
        chmod(folder.run, 0o555)
        defer { chmod(folder.run, 0o755) }
        let error = #expect(throws: JournalError.self) {
            _ = try RunJournal.create(in: folder.run, identity: .sample)
        }
        #expect(error?.description == "\(folder.run)/run.lock: it cannot be written: Permission denied")
    }

    @Test func aFullDiskIsNamedAndWhatWasKeptStays() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample, maximumPages: 24)
        var kept = 0
        let error = #expect(throws: JournalError.diskFull(file: folder.database)) {
            while kept < 10_000 {
                try journal.keep((kept..<kept + 10).map(sampleRecord))
                kept += 10
            }
        }
        #expect(error?.description.contains("the disk is full") == true)
        #expect(kept > 0)
        #expect(try journal.records(ofStage: 1) == (0..<kept).map(sampleRecord))
    }
}
