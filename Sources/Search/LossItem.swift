public import ComputationGraph
public import Datasets
public import Work

/// The losses of a state's expansions on a block of samples: what a level's work is made of.
///
/// The payload is a version, the state's text, the hash and size of the table of means that removed slots may read (a size of 0
/// for none), the same of the fit data where the state is recovered, the block's shard and place, its samples, and the text of each expansion's unit, which is empty for the state
/// itself. The result has a byte that says whether labels are counted, then the losses,
/// float32 [expansions, samples], and the correct predictions, uint32 of the same shape.
public struct LossItem: Sendable, Hashable {
    /// The kind of the work.
    public static let kind = WorkKind("losses")
    /// The largest number of samples or expansions that are taken from a payload.
    private static let largestCount = 1 << 20
    fileprivate static let version: UInt8 = 1

    /// The state.
    public let state: Variant
    /// The table of means that removed slots may read (``MeansTable``); `nil` for none.
    public let means: ContentID?
    /// The data that recoveries fit on; `nil` where nothing is recovered.
    public let fitData: ContentID?
    /// The block.
    public let block: BlockID
    /// The block's samples, indices into the whole data set.
    public let samples: [Int]
    /// What is removed besides; `nil` for the state itself.
    public let units: [Unit?]

    /// Losses of some expansions of `state`.
    public init(
        state: Variant, means: ContentID? = nil, fitData: ContentID? = nil, block: BlockID, samples: [Int],
        units: [Unit?]
    ) {
        self.state = state
        self.means = means
        self.fitData = fitData
        self.block = block
        self.samples = samples
        self.units = units
    }

    /// The canonical bytes.
    public var payload: [UInt8] {
        LossPayloads.payload(
            head: LossPayloads.head(of: state, means, fitData), block: block, samples: samples,
            units: units.map(LossPayloads.bytes(of:)))
    }

    /// Reads a payload.
    ///
    /// - Throws: `WorkMismatch` for bytes that are none.
    public init(payload: [UInt8]) throws(WorkMismatch) {
        var reader = ByteReader(payload)
        guard try reader.byte() == LossItem.version else { throw WorkMismatch("is of another version") }
        guard let state = Variant(try reader.text()) else { throw WorkMismatch("names a state that is none") }
        let means = try reader.content()
        let fitData = state.recovery.isNone ? nil : try reader.content()
        let block = BlockID(shard: try reader.number(), index: try reader.number())
        let samples = try reader.numbers()
        let count = try reader.number()
        guard !samples.isEmpty, samples.count <= LossItem.largestCount,
            (1...LossItem.largestCount).contains(count)
        else { throw WorkMismatch("has \(samples.count) samples and \(count) expansions") }
        var units: [Unit?] = []
        for _ in 0..<count {
            let text = try reader.text()
            let unit = Unit(text)
            guard unit != nil || text.isEmpty else { throw WorkMismatch("removes what is no unit") }
            units.append(unit)
        }
        try reader.finish()
        self.init(
            state: state, means: means, fitData: fitData, block: block, samples: samples, units: units)
    }

    /// The variants whose losses are wanted, one per expansion.
    public var variants: [Variant] { units.map { $0.map { state.removing($0) } ?? state } }

    // MARK: Results

    /// The bytes of a result.
    public static func result(_ scores: [SampleScores]) -> [UInt8] {
        let hasCorrect = scores.first.map { !$0.correct.isEmpty } ?? false
        let count = scores.reduce(0) { $0 + $1.losses.count }
        var writer = ByteWriter(capacity: 1 + count * (hasCorrect ? 8 : 4))
        writer.write(UInt8(hasCorrect ? 1 : 0))
        for score in scores { writer.write(raw: score.losses) }
        if hasCorrect { for score in scores { writer.write(raw: score.correct) } }
        return writer.bytes
    }

    /// The bytes of a result of this shape.
    static func resultBytes(expansions: Int, samples: Int, hasCorrect: Bool) -> Int {
        1 + expansions * samples * (hasCorrect ? 8 : 4)
    }

    /// Checks that a result has this shape.
    ///
    /// - Throws: `WorkMismatch`.
    public static func check(_ result: [UInt8], expansions: Int, samples: Int) throws(WorkMismatch) {
        guard let flag = result.first, flag <= 1,
            result.count == resultBytes(expansions: expansions, samples: samples, hasCorrect: flag == 1)
        else {
            throw WorkMismatch("has a wrong shape: \(expansions) times \(samples) losses were asked for")
        }
    }

    /// Reads a result: one score list per expansion.
    ///
    /// - Throws: `WorkMismatch` for another shape.
    public static func scores(in result: [UInt8], expansions: Int, samples: Int) throws(WorkMismatch)
        -> [SampleScores]
    {
        try check(result, expansions: expansions, samples: samples)
        var reader = ByteReader(result)
        let hasCorrect = try reader.byte() == 1
        var scores: [SampleScores] = []
        scores.reserveCapacity(expansions)
        for _ in 0..<expansions {
            scores.append(SampleScores(losses: try reader.floats(samples), correct: []))
        }
        if hasCorrect {
            for place in 0..<expansions { scores[place].correct = try reader.numbers32(samples) }
        }
        return scores
    }

    // MARK: Hints

    /// The bytes of the places of those expansions that may be states to come.
    public static func hints(_ places: [Int]) -> [UInt8] {
        guard !places.isEmpty else { return [] }
        var writer = ByteWriter()
        writer.write(places)
        return writer.bytes
    }

    /// The places that hints name; none for bytes that are no hints.
    public func reuseHints(_ hints: [UInt8]) -> [Int] {
        guard !hints.isEmpty else { return [] }
        var reader = ByteReader(hints)
        return ((try? reader.numbers()) ?? []).filter(units.indices.contains)
    }
}

extension WorkRecord {
    /// What losses were asked for, and their scores, one list per expansion.
    ///
    /// - Throws: `WorkMismatch` for a record that holds no losses.
    func losses() throws(WorkMismatch) -> (item: LossItem, scores: [SampleScores]) {
        let item = try LossItem(payload: key.payload)
        let scores = try LossItem.scores(
            in: result, expansions: item.units.count, samples: item.samples.count)
        return (item, scores)
    }
}

/// The bytes that the payloads of a level are put together from.
struct LossPayloads: Sendable {
    /// By parent, the version and the state.
    private let heads: [[UInt8]]
    /// By expansion, the unit.
    private let units: [[UInt8]]

    init(_ level: Level, means: ContentID?, fitData: ContentID?) {
        heads = level.parents.map { LossPayloads.head(of: $0.variant, means, fitData) }
        units = level.expansions.map { LossPayloads.bytes(of: $0.unit) }
    }

    /// The payload of a task of the level.
    func payload(_ task: RaceTask, in level: Level) -> [UInt8] {
        let blocks = level.parents[task.parent].blocks
        return LossPayloads.payload(
            head: heads[task.parent], block: blocks.ids[task.place], samples: blocks.samples[task.place],
            units: task.expansions.map { units[$0] })
    }

    fileprivate static func head(of state: Variant, _ means: ContentID?, _ fitData: ContentID?) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(LossItem.version)
        writer.write(state.description)
        for content in state.recovery.isNone ? [means] : [means, fitData] { writer.write(content) }
        return writer.bytes
    }

    fileprivate static func bytes(of unit: Unit?) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(unit?.description ?? "")
        return writer.bytes
    }

    fileprivate static func payload(head: [UInt8], block: BlockID, samples: [Int], units: [[UInt8]])
        -> [UInt8]
    {
        var writer = ByteWriter(
            capacity: head.count + 16 + 4 * samples.count + units.reduce(0) { $0 + $1.count })
        writer.write(raw: head)
        writer.write(block.shard)
        writer.write(block.index)
        writer.write(samples)
        writer.write(units.count)
        for unit in units { writer.write(raw: unit) }
        return writer.bytes
    }
}

extension LocalRunner {
    /// A runner of levels in this process.
    ///
    /// - Parameter losses: the scores of an item's samples, one list per expansion; told the reuse hints and the stage too.
    public convenience init(
        journal: (any WorkJournal)? = nil, progress: @escaping (any WorkSource) throws -> Void = { _ in },
        losses: @escaping (LossItem, _ reuseHints: [Int], _ stage: Int) throws -> [SampleScores]
    ) {
        // Losses need no contents, so that nothing has to be named.
        self.init(
            journal: journal, progress: progress, name: { ContentID(sha256: [], size: $0.count) }
        ) { work, _ in
            let item = try LossItem(payload: work.key.payload)
            return LossItem.result(try losses(item, item.reuseHints(work.hints), work.key.stage))
        }
    }
}
