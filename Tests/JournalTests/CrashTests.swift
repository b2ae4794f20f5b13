import Foundation
import Testing
import Work

@testable import Journal

@Suite struct CrashTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// What a crash of the machine can leave: the database, and the log up to some byte.
    private func leave(_ database: Data, _ log: Data) throws -> [WorkRecord] {
        let torn = folder.path + "/torn"
        try? FileManager.default.removeItem(atPath: torn)
        try FileManager.default.createDirectory(atPath: torn, withIntermediateDirectories: true)
        try database.write(to: URL(fileURLWithPath: torn + "/journal.sqlite"))
        try log.write(to: URL(fileURLWithPath: torn + "/journal.sqlite-wal"))
        return try RunJournal.resume(in: torn, identity: .sample).records(ofStage: 1)
    }

    /// Records `count` results one by one.
    ///
    /// - Returns: the journal, still open, and the log's length each time a result was acknowledged.
    private func recordOneByOne(_ count: Int) throws -> (RunJournal, [Int]) {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        var lengths: [Int] = []
        for index in 0..<count {
            try journal.keep([sampleRecord(index)])
            lengths.append(contents(folder.log).count)
        }
        return (journal, lengths)
    }

    @Test func aLogThatWasCutOffAnywhereLosesOnlyWhatLayBehindTheCut() throws {
        let (journal, lengths) = try recordOneByOne(14)
        let (database, log) = (contents(folder.database), contents(folder.log))
        try #require(lengths.last == log.count)
        var random = SeededNumbers(seed: 7)
        let cuts =
            Array(stride(from: 0, through: log.count, by: 512)) + lengths + lengths.map { $0 - 1 }
            + (0..<60).map { _ in Int.random(in: 0...log.count, using: &random) }
        for cut in cuts {
            let read = try leave(database, log.prefix(cut))
            #expect(read == (0..<lengths.count { $0 <= cut }).map(sampleRecord), "cut at \(cut)")
        }
        withExtendedLifetime(journal) {}
    }

    @Test func aLogWithADamagedByteLosesOnlyWhatLayBehindIt() throws {
        let (journal, lengths) = try recordOneByOne(14)
        let (database, log) = (contents(folder.database), contents(folder.log))
        var random = SeededNumbers(seed: 8)
        for _ in 0..<100 {
            var damaged = log
            let place = Int.random(in: 0..<log.count, using: &random)
            damaged[place] ^= UInt8.random(in: 1...255, using: &random)
            let read = try leave(database, damaged)
            #expect(read == (0..<read.count).map(sampleRecord), "damaged at \(place)")
            // Within the log's own header, 32 bytes, nothing can be trusted.
            if place >= 32 { #expect(read.count >= lengths.count { $0 <= place }, "damaged at \(place)") }
        }
        withExtendedLifetime(journal) {}
    }

    @Test func aWriterThatIsKilledLosesNothingThatItHadAcknowledged() throws {
        let acknowledged = folder.path + "/acknowledged"
        var survived = 0
        for round in 0..<4 {
            let writer = Process()
            writer.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            writer.arguments = ["--testing-library", "swift-testing", "--filter", "recordsUntilItIsKilled"]
            writer.environment = ProcessInfo.processInfo.environment
                .merging(["JOURNAL_WRITER_FOLDER": folder.path]) { $1 }
            writer.standardOutput = FileHandle.nullDevice
            writer.standardError = FileHandle.nullDevice
            try writer.run()
            let patience = Date().addingTimeInterval(60)
            while contents(acknowledged).count <= survived + 20 + 17 * round, writer.isRunning,
                Date() < patience
            {
                usleep(500)
            }
            try #require(writer.isRunning, "the writer ended by itself")
            kill(writer.processIdentifier, SIGKILL)
            writer.waitUntilExit()

            let promised = contents(acknowledged).count
            try #require(promised > survived, "the writer recorded nothing")
            let read = try RunJournal.resume(in: folder.run, identity: .sample).records(ofStage: 1)
            #expect(read == (0..<read.count).map(sampleRecord))
            // One more may be on the disk than the writer came to say.
            #expect(read.count == promised || read.count == promised + 1)
            survived = read.count
            try Data(repeating: 1, count: survived).write(to: URL(fileURLWithPath: acknowledged))
        }
    }
}

/// The process that is killed: this test binary again.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["JOURNAL_WRITER_FOLDER"] != nil))
struct KilledWriter {
    /// Appends one byte to a file for each result that was acknowledged.
    @Test func recordsUntilItIsKilled() throws {
        let folder = try #require(ProcessInfo.processInfo.environment["JOURNAL_WRITER_FOLDER"])
        let run = folder + "/run"
        let isNew = !FileManager.default.fileExists(atPath: run + "/journal.sqlite")
        let journal =
            isNew
            ? try RunJournal.create(in: run, identity: .sample) : try .resume(in: run, identity: .sample)
        let file = open(folder + "/acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o644)
        try #require(file >= 0)
        var index = try journal.records(ofStage: 1).count
        // Should nobody kill it, it ends.
        while index < 1_000_000 {
            try journal.keep([sampleRecord(index)])
            try #require(write(file, [1], 1) == 1)
            index += 1
        }
    }
}
