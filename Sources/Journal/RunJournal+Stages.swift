internal import Foundation
internal import GRDB

/// A stage that is over.
public struct FinishedStage<Outcome, Notes> {
    /// The stage's number.
    public let number: Int
    /// What it came to.
    public let outcome: Outcome
    /// What it took, the first time.
    public let notes: Notes
}

extension FinishedStage: Sendable where Outcome: Sendable, Notes: Sendable {}

extension RunJournal {
    /// Keeps the outcome of a stage.
    ///
    /// A stage that a resumed run finishes again must come to the same, to the bit; the notes that are on record are kept,
    /// for they tell what was really done.
    ///
    /// - Throws: `differentOutcome` for another outcome than that on record; `diskFull`, `notWritable`.
    public func finish<Outcome: Codable & Equatable>(
        stage: Int, outcome: Outcome, notes: some Encodable
    ) throws(JournalError) {
        try write { database in
            var kept: String?
            if let earlier = try Row.fetchOne(
                database, sql: "SELECT * FROM stages WHERE number = ?", arguments: [stage])
            {
                let text = try outcomeText(of: earlier)
                guard text.isEmpty else {
                    let known = try StoredJSON.decode(
                        Outcome.self, from: text, column: "outcome", file: file)
                    guard known == outcome else {
                        throw JournalError.differentOutcome(file: file, stage: stage)
                    }
                    return
                }
                kept = try earlier.required("notes", file: file)
            }
            let (outcome, notes) = (try StoredJSON.encode(outcome), try kept ?? StoredJSON.encode(notes))
            try insert(stage: stage, outcome: outcome, notes: notes, into: database)
        }
    }

    /// Forgets what finished stages came to, but not what they took.
    func reopenStages(_ database: Database) throws {
        for row in try Row.fetchAll(database, sql: "SELECT * FROM stages") {
            _ = try outcomeText(of: row)
            try insert(
                stage: try row.required("number", file: file), outcome: "",
                notes: try row.required("notes", file: file), into: database)
        }
    }

    private func insert(stage: Int, outcome: String, notes: String, into database: Database) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO stages (number, outcome, notes, checksum) VALUES (?, ?, ?, ?)",
            arguments: [
                stage, outcome, notes, RowChecksum.of(stage: stage, outcome: outcome, notes: notes),
            ])
    }

    /// The stages that are over, in their order.
    ///
    /// - Throws: `damagedRow` for a row that is not as it was written; `damaged` for one that holds something else.
    public func finishedStages<Outcome: Decodable, Notes: Decodable>(
        outcome: Outcome.Type, notes: Notes.Type
    ) throws(JournalError) -> [FinishedStage<Outcome, Notes>] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM stages ORDER BY number").compactMap { row in
                let text = try outcomeText(of: row)
                guard !text.isEmpty else { return nil }
                return FinishedStage(
                    number: try row.required("number", file: file),
                    outcome: try StoredJSON.decode(outcome, from: text, column: "outcome", file: file),
                    notes: try StoredJSON.decode(
                        notes, from: try row.required("notes", file: file), column: "notes", file: file))
            }
        }
    }

    /// What a stage came to, as JSON; empty for one that was reopened.
    private func outcomeText(of row: Row) throws -> String {
        let number: Int = try row.required("number", file: file)
        let outcome: String = try row.required("outcome", file: file)
        let sum: Data = try row.required("checksum", file: file)
        guard
            sum
                == RowChecksum.of(
                    stage: number, outcome: outcome, notes: try row.required("notes", file: file))
        else { throw JournalError.damagedRow(file: file, table: "stages", id: Int64(number)) }
        return outcome
    }
}
