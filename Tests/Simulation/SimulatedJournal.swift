internal import Work

/// A journal on a simulated disk: records as bytes, of which a crash may leave a part of the last.
struct SimulatedJournal {
    /// Each record: its number of bytes, the bytes, and their sum.
    private(set) var disk: [UInt8] = []
    /// What is known to be on the disk.
    private(set) var durable: Set<WorkAtom> = []
    private let atoms: @Sendable (WorkKey) -> [WorkAtom]

    /// - Parameter atoms: the smallest parts that work consists of.
    init(atoms: @escaping @Sendable (WorkKey) -> [WorkAtom]) { self.atoms = atoms }

    /// Writes a record, or a part of it.
    ///
    /// - Parameter share: how much of it reaches the disk; it counts as kept only when all does.
    mutating func write(_ record: WorkRecord, share: Double = 1) {
        let bytes = SimulatedJournal.encode(record)
        disk += bytes.prefix(share >= 1 ? bytes.count : Int(Double(bytes.count) * share))
        if share >= 1 { durable.formUnion(atoms(record.key)) }
    }

    /// Opens the journal after a crash: what was cut is cut off.
    mutating func reopen() -> [WorkRecord] {
        var records: [WorkRecord] = []
        var reader = ByteReader(disk)
        var whole = 0
        durable = []
        while let record = try? SimulatedJournal.decode(&reader) {
            durable.formUnion(atoms(record.key))
            records.append(record)
            whole = disk.count - reader.remaining
        }
        disk.removeSubrange(whole...)
        return records
    }

    private static func sum(_ bytes: [UInt8]) -> Int {
        bytes.reduce(17) { ($0 &* 31 &+ Int($1)) & 0xFFFF_FFFF }
    }

    private static func encode(_ record: WorkRecord) -> [UInt8] {
        var body = ByteWriter()
        body.write(record.key.kind.description)
        body.write(record.key.stage)
        body.write(record.key.payload.count)
        body.write(raw: record.key.payload)
        body.write(record.result.count)
        body.write(raw: record.result)
        var writer = ByteWriter()
        writer.write(body.bytes.count)
        writer.write(raw: body.bytes)
        writer.write(sum(body.bytes))
        return writer.bytes
    }

    private static func decode(_ reader: inout ByteReader) throws(WorkMismatch) -> WorkRecord {
        let bytes = try reader.raw(try reader.number())
        guard try reader.number() == sum(bytes) else { throw WorkMismatch("is cut off") }
        var body = ByteReader(bytes)
        let (kind, stage) = (WorkKind(try body.text()), try body.number())
        let payload = try body.raw(try body.number())
        return WorkRecord(
            key: WorkKey(kind: kind, stage: stage, payload: payload), result: try body.raw(try body.number()))
    }
}
