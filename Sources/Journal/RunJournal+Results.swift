internal import Foundation
internal import GRDB
public import Work

extension RunJournal {
    /// The results of a stage, in the order in which they were recorded.
    ///
    /// - Throws: `damagedRow` for a row that is not as it was written.
    public func records(ofStage stage: Int) throws(JournalError) -> [WorkRecord] {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT id, kind, payload, result, checksum FROM results WHERE stage = ? ORDER BY id",
                arguments: [stage])
            var records: [WorkRecord] = []
            while let row = try rows.next() { records.append(try record(row, stage: stage)) }
            return records
        }
    }

    /// Goes through the results of all stages, in the order in which they were recorded.
    ///
    /// - Throws: `damagedRow` for a row that is not as it was written; what `body` throws.
    public func forEachRecord(_ body: (WorkRecord) throws -> Void) throws(JournalError) {
        try read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: "SELECT id, stage, kind, payload, result, checksum FROM results ORDER BY id")
            while let row = try rows.next() {
                try body(record(row, stage: try row.required("stage", file: file)))
            }
        }
    }

    private func record(_ row: Row, stage: Int) throws -> WorkRecord {
        let payload: Data = try row.required("payload", file: file)
        let result: Data = try row.required("result", file: file)
        let key = WorkKey(
            kind: WorkKind(try row.required("kind", file: file)), stage: stage, payload: Array(payload))
        let sum: Data = try row.required("checksum", file: file)
        guard sum == RowChecksum.of(key, payload: payload, result: result) else {
            throw JournalError.damagedRow(
                file: file, table: "results", id: try row.required("id", file: file))
        }
        return WorkRecord(key: key, result: Array(result))
    }

    /// Keeps results, all or none, in one transaction, which costs one wait for the disk. They are on the disk once this
    /// has returned.
    ///
    /// - Throws: `diskFull`, `notWritable`; then nothing of the batch is kept.
    public func keep(_ records: [WorkRecord]) throws(JournalError) {
        guard !records.isEmpty else { return }
        try write { database in
            let insert = try database.cachedStatement(
                sql: "INSERT INTO results (stage, kind, payload, result, checksum) VALUES (?, ?, ?, ?, ?)")
            for record in records {
                let (payload, result) = (Data(record.key.payload), Data(record.result))
                try insert.execute(arguments: [
                    record.key.stage, record.key.kind.description, payload, result,
                    RowChecksum.of(record.key, payload: payload, result: result),
                ])
            }
        }
    }
}
