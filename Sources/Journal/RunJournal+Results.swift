internal import ComputationGraph
public import Datasets
internal import Foundation
internal import GRDB
public import Search

extension RunJournal {
    /// The results of a level, in the order in which they were recorded.
    ///
    /// - Throws: `damaged` for a row that is no result.
    public func results(of level: Level) throws(JournalError) -> [RecordedResult] {
        try results(ofLevel: level.number)
    }

    /// The results of level number `number`, in the order in which they were recorded.
    ///
    /// - Throws: `damaged` for a row that is no result.
    public func results(ofLevel number: Int) throws(JournalError) -> [RecordedResult] {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql:
                    "SELECT id, state, edge, shard, block, losses, correct FROM results WHERE level = ? ORDER BY id",
                arguments: [number])
            var results: [RecordedResult] = []
            // Rows of one task lie together and share their state's text.
            var last: (text: String, mask: Mask)?
            while let row = try rows.next() {
                let text: String = try row.required("state", file: file)
                if last?.text != text { last = Mask(journalText: text).map { (text, $0) } }
                guard let mask = last?.mask, let result = try result(of: row, state: mask) else {
                    let id: Int64 = try row.required("id", file: file)
                    throw JournalError.damaged(file: file, reason: "row \(id) of 'results' is no result")
                }
                results.append(result)
            }
            return results
        }
    }

    private func result(of row: Row, state: Mask) throws -> RecordedResult? {
        var edge: Edge?
        if !row.isNull("edge") {
            guard let read = Edge(try row.required("edge", file: file) as String) else { return nil }
            edge = read
        }
        guard let losses = StoredBytes.floats(try row.required("losses", file: file)) else { return nil }
        var correct: [UInt32] = []
        if !row.isNull("correct") {
            guard let read = StoredBytes.integers(try row.required("correct", file: file)),
                read.count == losses.count
            else { return nil }
            correct = read
        }
        let block = BlockID(
            shard: try row.required("shard", file: file), index: try row.required("block", file: file))
        return RecordedResult(
            state: state, edge: edge, block: block, scores: SampleScores(losses: losses, correct: correct))
    }

    /// Keeps a task's scores, all or none. They are on the disk once this has returned.
    ///
    /// A result that is kept already stays as it is: the first one counts.
    ///
    /// - Throws: `diskFull`, `notWritable`, `mismatchedScores` unless there is one list per expansion.
    public func record(_ task: LevelTask, _ scores: [SampleScores], level: Int) throws(JournalError) {
        try record([(task, scores)], level: level)
    }

    /// Keeps the scores of several tasks in one transaction, which costs one wait for the disk.
    ///
    /// - Throws: as `record(_:_:level:)`; then nothing of the batch is kept.
    public func record(_ batch: [(task: LevelTask, scores: [SampleScores])], level: Int) throws(JournalError)
    {
        var results: [RecordedResult] = []
        for (task, scores) in batch {
            guard scores.count == task.edges.count else {
                throw .mismatchedScores(level: level, expected: task.edges.count, given: scores.count)
            }
            for (edge, score) in zip(task.edges, scores) {
                results.append(
                    RecordedResult(state: task.state, edge: edge, block: task.block, scores: score))
            }
        }
        try record(results, level: level)
    }

    /// Keeps results in one transaction, e.g. those that a worker hands over after the coordinator was gone.
    ///
    /// - Throws: as `record(_:_:level:)`; then nothing of the batch is kept.
    public func record(_ results: [RecordedResult], level: Int) throws(JournalError) {
        guard !results.isEmpty else { return }
        try write { database in
            try database.cachedStatement(sql: "INSERT INTO levels (number) VALUES (?) ON CONFLICT DO NOTHING")
                .execute(arguments: [level])
            let insert = try database.cachedStatement(
                sql: """
                    INSERT INTO results (level, state, edge, shard, block, losses, correct)
                    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
                    """)
            var last: (mask: Mask, text: String)?
            for result in results {
                if last?.mask != result.state { last = (result.state, result.state.description) }
                let scores = result.scores
                try insert.execute(arguments: [
                    level, last?.text, result.edge?.description, result.block.shard, result.block.index,
                    StoredBytes.encode(scores.losses),
                    scores.correct.isEmpty ? nil : StoredBytes.encode(scores.correct),
                ])
            }
        }
    }
}
