import Foundation
import GRDB
import Testing
import Work

@testable import Journal

/// A bit that turns on the disk, in any column that decides something.
@Suite struct ChecksumTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The rows' numbers; the stages' are even, so that a flip of the lowest bit hits no other row.
    private let stages = [2, 4]

    private func makeJournal() throws -> RunJournal {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        try journal.keep((0..<5).map { sampleRecord($0, stage: 2) })
        for stage in stages {
            try journal.finish(stage: stage, outcome: [0.5, 1.0 / 3], notes: "took \(stage)")
        }
        // Nothing here is to last.
        try journal.database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = OFF") }
        return journal
    }

    /// What reading all of the journal comes to.
    private func error(_ journal: RunJournal) -> JournalError? {
        do throws(JournalError) {
            for stage in 0..<8 { _ = try journal.records(ofStage: stage) }
            _ = try journal.finishedStages(outcome: [Double].self, notes: String.self)
            return nil
        } catch { return error }
    }

    /// Sets a text or blob of a row to other bytes.
    private func put(
        _ bytes: Data, in column: String, of table: String, where row: String, _ journal: RunJournal
    ) throws {
        try journal.database.write { database in
            let type = try String.fetchOne(
                database, sql: "SELECT typeof(\(column)) FROM \(table) WHERE \(row)")
            try database.execute(
                sql:
                    "UPDATE \(table) SET \(column) = \(type == "text" ? "CAST(? AS TEXT)" : "?") WHERE \(row)",
                arguments: [bytes])
        }
    }

    @Test(arguments: [
        ("run", "created"), ("run", "version"), ("run", "model_path"), ("run", "model_sha256"),
        ("run", "data_path"), ("run", "data_sha256"), ("run", "settings"), ("run", "command_line"),
        ("run", "outcome"), ("run", "completed"), ("run", "checksum"), ("numerics", "digest"),
        ("numerics", "machine"), ("numerics", "checksum"),
    ])
    func aFlippedBitInWhatTheRunIsMadeFromOrEndedWithIsFound(table: String, column: String) throws {
        do {
            let journal = try makeJournal()
            _ = try journal.check(Numerics(digest: [1, 2, 3], machine: "an abacus"), allowsOthers: false)
            try journal.complete(["loss": 0.25])
            let old = try #require(
                try journal.database.read {
                    try Data.fetchOne($0, sql: "SELECT CAST(\(column) AS BLOB) FROM \(table)")
                })
            var bytes = old
            bytes[bytes.count / 2] ^= 1
            try put(bytes, in: column, of: table, where: "id = 1", journal)
        }
        let error = #expect(throws: JournalError.self) {
            let journal = try RunJournal.open(readOnlyIn: folder.run)
            _ = try journal.outcome(as: [String: Double].self)
            _ = try journal.numerics()
        }
        #expect(error?.description.contains("damaged") == true, "\(error.map { "\($0)" } ?? "")")
    }

    @Test(arguments: [
        ("results", "kind", "id"), ("results", "payload", "id"), ("results", "result", "id"),
        ("results", "checksum", "id"), ("stages", "outcome", "number"), ("stages", "notes", "number"),
        ("stages", "checksum", "number"),
    ])
    func aFlippedBitInATextOrBlobIsFoundAndItsRowNamed(table: String, column: String, id: String) throws {
        let journal = try makeJournal()
        try #require(error(journal) == nil)
        let number: Int64 = table == "results" ? 3 : 4
        let row = "\(id) = \(number)"
        let whole = try #require(
            try journal.database.read {
                try Data.fetchOne($0, sql: "SELECT CAST(\(column) AS BLOB) FROM \(table) WHERE \(row)")
            })
        try #require(!whole.isEmpty)
        for place in whole.indices {
            for bit in [place % 8, (place + 3) % 8] {
                var damaged = whole
                damaged[place] ^= 1 << UInt8(bit)
                try put(damaged, in: column, of: table, where: row, journal)
                #expect(
                    error(journal) == .damagedRow(file: folder.database, table: table, id: number),
                    "bit \(bit) of byte \(place)")
            }
        }
        try put(whole, in: column, of: table, where: row, journal)
        #expect(error(journal) == nil)
    }

    @Test(arguments: [0, 1, 2])
    func aResultWhoseStageHasAFlippedBitIsFoundWhereItTurnsUp(bit: Int) throws {
        let journal = try makeJournal()
        try journal.database.write {
            try $0.execute(sql: "UPDATE results SET stage = ? WHERE id = 3", arguments: [2 ^ (1 << bit)])
        }
        #expect(error(journal) == .damagedRow(file: folder.database, table: "results", id: 3))
        // The stage that it is missing from has the others, and computes it again.
        #expect(try journal.records(ofStage: 2) == [0, 1, 3, 4].map { sampleRecord($0, stage: 2) })
    }

    @Test(arguments: [0, 3, 40])
    func aStageWhoseNumberHasAFlippedBitIsFoundByThatNumber(bit: Int) throws {
        let journal = try makeJournal()
        let flipped = 4 ^ (1 << bit)
        try journal.database.write {
            try $0.execute(sql: "UPDATE stages SET number = ? WHERE number = 4", arguments: [flipped])
        }
        #expect(error(journal) == .damagedRow(file: folder.database, table: "stages", id: Int64(flipped)))
    }

    @Test func aDamagedOutcomeIsFoundBeforeItIsComparedWith() throws {
        let journal = try makeJournal()
        try put(Data("[0.5,0.25]".utf8), in: "outcome", of: "stages", where: "number = 4", journal)
        #expect(throws: JournalError.damagedRow(file: folder.database, table: "stages", id: 4)) {
            try journal.finish(stage: 4, outcome: [0.5, 1.0 / 3], notes: "again")
        }
    }

    /// What the sentence tells the user to do.
    @Test(arguments: [("results", "id", 3), ("stages", "number", 4)])
    func takingTheRowOutAsTheErrorSaysMakesTheJournalWholeAgain(table: String, id: String, number: Int) throws
    {
        let journal = try makeJournal()
        let column = table == "results" ? "result" : "notes"
        try put(Data("wrong".utf8), in: column, of: table, where: "\(id) = \(number)", journal)
        let sentence = try #require(error(journal)).description
        let command = try #require(sentence.firstMatch(of: /"(DELETE FROM [^"]*)"/))
        try journal.database.write { try $0.execute(sql: String(command.1)) }
        #expect(error(journal) == nil)
        #expect(try journal.records(ofStage: 2).count == (table == "results" ? 4 : 5))
    }

    /// As a disk damages it: in the file itself.
    @Test func aFlippedBitInTheFileIsFoundWhenTheRunIsResumed() throws {
        _ = try makeJournal()
        let whole = contents(folder.database)
        for bytes in [sampleRecord(2, stage: 2).key.payload, sampleRecord(2, stage: 2).result] {
            let place = try #require(whole.range(of: Data(bytes))).lowerBound
            for offset in bytes.indices {
                var damaged = whole
                damaged[place + offset] ^= 1 << UInt8(offset % 8)
                try damaged.write(to: URL(fileURLWithPath: folder.database))
                let journal = try RunJournal.resume(in: folder.run, identity: .sample)
                #expect(
                    error(journal) == .damagedRow(file: folder.database, table: "results", id: 3),
                    "byte \(offset)")
            }
        }
    }
}

/// Journals of earlier versions, as those made them.
@Suite struct OlderLayoutTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A journal of layout 2, or of layout 1, which had the same tables, with a result.
    private func makeJournal(layout: Int) throws {
        try FileManager.default.createDirectory(atPath: folder.run, withIntermediateDirectories: true)
        let queue = try DatabaseQueue(path: folder.database)
        try queue.writeWithoutTransaction { database in
            // "Espa" in ASCII.
            try database.execute(
                sql: """
                    PRAGMA application_id = \(0x4573_7061); PRAGMA user_version = \(layout);
                    CREATE TABLE run (
                        id INTEGER PRIMARY KEY CHECK (id = 1),
                        created TEXT NOT NULL,
                        version TEXT NOT NULL,
                        model_path TEXT NOT NULL,
                        model_sha256 TEXT NOT NULL,
                        data_path TEXT NOT NULL,
                        data_sha256 TEXT NOT NULL,
                        settings TEXT NOT NULL,
                        command_line TEXT NOT NULL,
                        completed TEXT,
                        outcome TEXT
                    ) STRICT;
                    CREATE TABLE levels (
                        number INTEGER PRIMARY KEY,
                        states TEXT,
                        work TEXT
                    ) STRICT;
                    CREATE TABLE results (
                        id INTEGER PRIMARY KEY,
                        level INTEGER NOT NULL REFERENCES levels (number),
                        state TEXT NOT NULL,
                        edge TEXT,
                        shard INTEGER NOT NULL,
                        block INTEGER NOT NULL,
                        losses BLOB NOT NULL,
                        correct BLOB
                    ) STRICT;
                    CREATE UNIQUE INDEX one_result ON results (level, state, ifnull(edge, ''), shard, block);
                    CREATE TABLE dropped (
                        level INTEGER NOT NULL REFERENCES levels (number),
                        mask TEXT NOT NULL,
                        bound REAL NOT NULL,
                        PRIMARY KEY (level, mask)
                    ) STRICT, WITHOUT ROWID;
                    INSERT INTO run VALUES (1, '2025-01-01T00:00:00Z', '0.1', 'resnet.onnx', 'aa11', 'digits.npz',
                        'bb22', '{}', '["prune"]', NULL, NULL);
                    INSERT INTO levels VALUES (1, NULL, NULL);
                    INSERT INTO results VALUES (1, 1, '{}', '5:0', 0, 0, x'0000803f', NULL);
                    PRAGMA journal_mode = WAL;
                    """)
        }
        try queue.close()
    }

    @Test func aJournalOfTheLayoutBeforeIsReadAsItIsAndTakenOnWhenItIsResumed() throws {
        try FileManager.default.createDirectory(atPath: folder.run, withIntermediateDirectories: true)
        let queue = try DatabaseQueue(path: folder.database)
        try queue.writeWithoutTransaction {
            try $0.execute(sql: "PRAGMA application_id = \(0x4573_7061); PRAGMA user_version = 3")
        }
        try JournalLayout.migrator.migrate(queue, upTo: "layout 3")
        let sample = RunIdentity.sample
        try queue.write { database in
            try database.execute(
                sql: """
                    INSERT INTO run VALUES (1, '2025-01-01T00:00:00Z', ?, ?, ?, ?, ?, ?, '["prune"]', NULL, NULL);
                    INSERT INTO numerics VALUES (1, x'00ff', 'an abacus');
                    """,
                arguments: [
                    sample.version, sample.modelPath, sample.modelSHA256, sample.dataPath, sample.dataSHA256,
                    sample.settings,
                ])
        }
        try queue.close()
        let before = contents(folder.database)
        do {
            let journal = try RunJournal.open(readOnlyIn: folder.run)
            #expect(journal.identity.settings == sample.settings && journal.identity.directory == nil)
            #expect(try journal.numerics().map(\.machine) == ["an abacus"])
        }
        #expect(contents(folder.database) == before)
        do {
            let journal = try RunJournal.resume(in: folder.run, identity: sample)
            #expect(try journal.numerics() == [Numerics(digest: [0, 255], machine: "an abacus")])
            try journal.complete(["done"])
        }
        let journal = try RunJournal.open(readOnlyIn: folder.run)
        #expect(try journal.outcome(as: [String].self) == ["done"])
        #expect(
            try journal.database.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
                == JournalLayout.version)
    }

    @Test(arguments: [1, 2])
    func isRefusedAsOfAnOlderVersionAndNeverAsDamagedAndStaysAsItIs(layout: Int) throws {
        try makeJournal(layout: layout)
        let before = contents(folder.database)
        let expected = JournalError.olderLayout(file: folder.database, version: layout)
        #expect(throws: expected) { _ = try RunJournal.resume(in: folder.run, identity: .sample) }
        #expect(throws: expected) { _ = try RunJournal.open(readOnlyIn: folder.run) }
        #expect(expected.description.contains("of an older version"))
        #expect(expected.description.contains("layout \(layout)"))
        #expect(!expected.description.contains("damaged"))
        #expect(contents(folder.database) == before)
    }
}
