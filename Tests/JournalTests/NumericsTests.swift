import Testing
import Work

@testable import Journal

@Suite struct NumericsTests {
    let folder: TemporaryFolder
    private let here = Numerics(digest: [UInt8](repeating: 1, count: 32), machine: "a loom")
    private let there = Numerics(digest: [UInt8](repeating: 2, count: 32), machine: "an abacus")

    init() throws { folder = try TemporaryFolder() }

    @Test func aRunRemembersHowItsFirstCoordinatorComputes() throws {
        do {
            let journal = try RunJournal.create(in: folder.run, identity: .sample)
            #expect(try journal.check(here, allowsOthers: false) == [])
        }
        let journal = try RunJournal.resume(in: folder.run, identity: .sample)
        #expect(try journal.check(here, allowsOthers: false) == [])
        #expect(try journal.numerics() == [here])
    }

    @Test func otherBitsAreRefusedUnlessTheyAreAllowedAndAreRememberedThen() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        _ = try journal.check(here, allowsOthers: false)
        let error = #expect(throws: JournalError.self) { try journal.check(there, allowsOthers: false) }
        #expect(error == .differentNumerics(folder: folder.run, recorded: "a loom", own: "an abacus"))
        #expect(error?.description.contains("--allow-mixed-numerics") == true)
        #expect(try journal.numerics() == [here])
        #expect(try journal.check(there, allowsOthers: true) == ["a loom"])
        // Now the first machine's run is mixed too.
        #expect(throws: JournalError.self) { try journal.check(here, allowsOthers: false) }
        #expect(try journal.check(here, allowsOthers: true) == ["an abacus"])
        #expect(try journal.numerics() == [here, there])
    }

    @Test func aWorkerWithOtherBitsLeavesItsMarkOnTheRun() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        _ = try journal.check(here, allowsOthers: false)
        try journal.note(there)
        try journal.note(there)
        #expect(try journal.numerics() == [here, there])
        #expect(try journal.machines(otherThan: here.digest) == ["an abacus"])
        // What the run goes on with is known, and has to be wanted.
        let error = #expect(throws: JournalError.self) { try journal.check(here, allowsOthers: false) }
        #expect(error == .differentNumerics(folder: folder.run, recorded: "an abacus", own: "a loom"))
        #expect(try journal.check(here, allowsOthers: true) == ["an abacus"])
    }

    @Test func aJournalWithoutNumericsTakesThemUp() throws {
        let journal = try RunJournal.create(in: folder.run, identity: .sample)
        #expect(try journal.numerics() == [])
        #expect(try journal.check(here, allowsOthers: false) == [])
        #expect(try journal.numerics() == [here])
    }
}
