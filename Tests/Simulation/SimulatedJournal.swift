internal import ComputationGraph
internal import Datasets
internal import Search

/// A journal on a simulated disk: records as bytes, of which a crash may leave a part of the last.
struct SimulatedJournal {
    struct Piece: Hashable {
        let state: Mask
        let edge: Edge?
        let block: BlockID
    }

    struct Record {
        let level: Int
        let results: [RecordedResult]
    }

    /// Each record: number of 32-bit words, words, and their sum.
    private(set) var disk: [UInt32] = []
    /// What is known to be on the disk.
    private(set) var durable: Set<Piece> = []

    static func pieces(_ state: Mask, _ edges: [Edge?], _ block: BlockID) -> [Piece] {
        edges.map { Piece(state: state, edge: $0, block: block) }
    }

    /// Writes a record, or a part of it.
    ///
    /// - Parameter share: how much of it reaches the disk; it counts as kept only when all does.
    mutating func write(_ task: LevelTask, _ scores: [SampleScores], level: Int, share: Double = 1) {
        let record = SimulatedJournal.encode(task, scores, level: level)
        disk += record.prefix(share >= 1 ? record.count : Int(Double(record.count) * share))
        if share >= 1 { durable.formUnion(SimulatedJournal.pieces(task.state, task.edges, task.block)) }
    }

    /// Opens the journal after a crash: what was cut is cut off.
    mutating func reopen() -> [Record] {
        var records: [Record] = []
        var offset = 0
        durable = []
        while offset < disk.count {
            let count = Int(disk[offset])
            guard offset + count + 2 <= disk.count else { break }
            let words = disk[offset + 1..<offset + 1 + count]
            guard words.reduce(0, &+) == disk[offset + count + 1] else { break }
            let record = SimulatedJournal.decode(Array(words))
            for result in record.results {
                durable.insert(Piece(state: result.state, edge: result.edge, block: result.block))
            }
            records.append(record)
            offset += count + 2
        }
        disk.removeSubrange(offset...)
        return records
    }

    private static func encode(_ task: LevelTask, _ scores: [SampleScores], level: Int) -> [UInt32] {
        var words: [UInt32] = [UInt32(level), UInt32(task.state.count)]
        for edge in task.state.units.map(\.edge) { words += [UInt32(edge.node), UInt32(edge.slot)] }
        words += [UInt32(task.block.shard), UInt32(task.block.index), UInt32(task.edges.count)]
        for (edge, score) in zip(task.edges, scores) {
            words += [edge.map { UInt32($0.node) } ?? .max, edge.map { UInt32($0.slot) } ?? .max]
            words += [UInt32(score.losses.count)] + score.losses.map(\.bitPattern)
            words += [UInt32(score.correct.count)] + score.correct
        }
        return [UInt32(words.count)] + words + [words.reduce(0, &+)]
    }

    private static func decode(_ words: [UInt32]) -> Record {
        var position = 0
        func next() -> UInt32 {
            defer { position += 1 }
            return words[position]
        }
        func edge() -> Edge? {
            let (node, slot) = (next(), next())
            return node == .max ? nil : Edge(node: Int(node), slot: Int(slot))
        }
        let level = Int(next())
        let state = Mask((0..<next()).compactMap { _ in edge() })
        let block = BlockID(shard: Int(next()), index: Int(next()))
        let results = (0..<next()).map { _ in
            let edge = edge()
            let losses = (0..<next()).map { _ in Float(bitPattern: next()) }
            let correct = (0..<next()).map { _ in next() }
            return RecordedResult(
                state: state, edge: edge, block: block, scores: SampleScores(losses: losses, correct: correct)
            )
        }
        return Record(level: level, results: results)
    }
}
