public import ComputationGraph
internal import GRDB
public import Search

/// A level that is over.
public struct FinishedLevel: Sendable {
    /// The number of removals; 0 is the measurement of the full model.
    public let number: Int
    /// The best states, best first, without their per-sample losses.
    public let states: [State]
    /// What it took to find them, the first time.
    public let work: WorkCount
    /// Expansions that were given up, with the bound that proved them hopeless, in the masks' order.
    public let dropped: [(mask: Mask, bound: Double)]
}

extension RunJournal {
    /// Keeps the outcome of a level.
    ///
    /// A level that a resumed run finishes again must give the same states, to the bit; the work that is on record
    /// is kept, for it counts what was really done.
    ///
    /// - Throws: `differentOutcome` for other states than those on record; `diskFull`, `notWritable`.
    public func finish(
        level: Int, states: [State], work: WorkCount, dropped: [(mask: Mask, bound: Double)] = []
    ) throws(JournalError) {
        let stored = states.map(StoredState.init)
        try write { database in
            let earlier = try String.fetchOne(
                database, sql: "SELECT states FROM levels WHERE number = ?", arguments: [level])
            if let earlier {
                let known = try StoredJSON.decode(
                    [StoredState].self, from: earlier, column: "states", file: file)
                guard known == stored else { throw JournalError.differentOutcome(file: file, level: level) }
                return
            }
            try database.execute(
                sql: """
                    INSERT INTO levels (number, states, work) VALUES (?, ?, ?)
                    ON CONFLICT (number) DO UPDATE SET states = excluded.states, work = excluded.work
                    """,
                arguments: [level, try StoredJSON.encode(stored), try StoredJSON.encode(work)])
            let insert = try database.cachedStatement(
                sql: "INSERT INTO dropped (level, mask, bound) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            for expansion in dropped {
                try insert.execute(arguments: [level, expansion.mask.description, expansion.bound])
            }
        }
    }

    /// The levels that are over, in their order.
    ///
    /// - Throws: `damaged` for a row that is no level.
    public func finishedLevels() throws(JournalError) -> [FinishedLevel] {
        try read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT number, states, work FROM levels WHERE states IS NOT NULL ORDER BY number")
            return try rows.map { row in
                let number: Int = try row.required("number", file: file)
                let states = try StoredJSON.decode(
                    [StoredState].self, from: try row.required("states", file: file), column: "states",
                    file: file)
                let work = try StoredJSON.decode(
                    WorkCount.self, from: try row.required("work", file: file), column: "work", file: file)
                return FinishedLevel(
                    number: number, states: states.map(\.state), work: work,
                    dropped: try dropped(database, level: number))
            }
        }
    }

    private func dropped(_ database: Database, level: Int) throws -> [(mask: Mask, bound: Double)] {
        try Row.fetchAll(database, sql: "SELECT mask, bound FROM dropped WHERE level = ?", arguments: [level])
            .map { row in
                guard let mask = Mask(journalText: try row.required("mask", file: file)) else {
                    throw JournalError.damaged(file: file, reason: "level \(level) drops what is no mask")
                }
                return (mask, try row.required("bound", file: file))
            }
            .sorted { $0.mask < $1.mask }
    }
}
