public import ComputationGraph
internal import Datasets
public import Work

/// The sums of some values over a block of samples.
///
/// The payload is a version, the state's text, the block's shard and place, its samples, and the values' indices. The result
/// has for every value its shape, the count, and the sums, float64.
public struct StatisticsItem: Sendable, Hashable {
    /// The kind of the work.
    public static let kind = WorkKind("statistics")
    private static let version: UInt8 = 1

    /// The variant that the values are computed under.
    public let state: Variant
    /// The block.
    public let block: BlockID
    /// The block's samples, indices into the whole data set.
    public let samples: [Int]
    /// Indices of values of the graph.
    public let values: [Int]

    /// Sums of `values`.
    public init(state: Variant, block: BlockID, samples: [Int], values: [Int]) {
        self.state = state
        self.block = block
        self.samples = samples
        self.values = values
    }

    /// The canonical bytes.
    public var payload: [UInt8] {
        var writer = ByteWriter()
        writer.write(StatisticsItem.version)
        writer.write(state.description)
        writer.write(block.shard)
        writer.write(block.index)
        writer.write(samples)
        writer.write(values)
        return writer.bytes
    }

    /// Reads a payload.
    ///
    /// - Throws: `WorkMismatch` for bytes that are none.
    public init(payload: [UInt8]) throws(WorkMismatch) {
        var reader = ByteReader(payload)
        guard try reader.byte() == StatisticsItem.version else { throw WorkMismatch("is of another version") }
        guard let state = Variant(try reader.text()) else { throw WorkMismatch("names a state that is none") }
        let block = BlockID(shard: try reader.number(), index: try reader.number())
        let (samples, values) = (try reader.numbers(), try reader.numbers())
        guard !samples.isEmpty, !values.isEmpty else { throw WorkMismatch("is about nothing") }
        try reader.finish()
        self.init(state: state, block: block, samples: samples, values: values)
    }

    /// The bytes of a result, one sum per value.
    public static func result(_ sums: [ValueSum]) -> [UInt8] {
        var writer = ByteWriter()
        for sum in sums {
            writer.write(sum.shape)
            writer.write(sum.count)
            writer.write(raw: sum.sums)
        }
        return writer.bytes
    }

    /// Reads a result.
    ///
    /// - Throws: `WorkMismatch` for another shape.
    public static func sums(in result: [UInt8], values: Int) throws(WorkMismatch) -> [ValueSum] {
        var reader = ByteReader(result)
        var sums: [ValueSum] = []
        for _ in 0..<values {
            let shape = try reader.numbers()
            let count = try reader.number()
            var elements = 1
            for size in shape {
                let (product, overflow) = elements.multipliedReportingOverflow(by: size)
                guard !overflow else { throw WorkMismatch("has a wrong shape: \(shape)") }
                elements = product
            }
            sums.append(ValueSum(shape: shape, sums: try reader.doubles(elements), count: count))
        }
        try reader.finish()
        return sums
    }
}

/// Means of values over all samples, computed block by block: an item is some values on a block.
///
/// The blocks' sums are added in canonical order once all are known, so that the means do not depend on who computed them.
public struct StatisticsSource: WorkSource {
    private enum Status { case open, out, known }

    private let state: Variant
    /// The values in groups that are computed at once.
    private let groups: [[Int]]
    private let blocks: BlockList
    private var statuses: [Status]
    private var results: [[ValueSum]?]
    private var left: Int

    /// Before a search.
    public let stage = 0
    /// `statistics`.
    public var kind: WorkKind { StatisticsItem.kind }

    /// - Parameters:
    ///   - groups: indices of values of the graph; a result has the sums of one group.
    ///   - blocks: all samples, in blocks.
    public init(state: Variant = Variant(.empty), groups: [[Int]], blocks: BlockList) {
        self.state = state
        self.groups = groups
        self.blocks = blocks
        let count = groups.count * blocks.ids.count
        statuses = [Status](repeating: .open, count: count)
        results = [[ValueSum]?](repeating: nil, count: count)
        left = count
    }

    /// Whether all sums are known.
    public var isComplete: Bool { left == 0 }
    /// The items that are known, and all of them: for progress.
    public var progress: (done: Int, total: Int) { (statuses.count - left, statuses.count) }
    /// A group on a block.
    public var smallestCost: WorkCost { WorkCost(scale: "statistics", amount: 1) }

    private func item(_ piece: Int) -> WorkItem {
        let (place, group) = piece.quotientAndRemainder(dividingBy: groups.count)
        let block = blocks.ids[place]
        let payload = StatisticsItem(
            state: state, block: block, samples: blocks.samples[place], values: groups[group]
        ).payload
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: payload), shard: block.shard,
            locality: UInt64(UInt32(clamping: block.shard)) << 32 | UInt64(UInt32(clamping: block.index)),
            cost: smallestCost, pieces: [piece])
    }

    /// The next group on a block.
    public mutating func next(for worker: WorkerView) -> WorkItem? {
        var other: Int?
        for piece in statuses.indices where statuses[piece] == .open {
            let item = item(piece)
            guard item.shard.map(worker.holds) ?? true else { continue }
            guard worker.prefers(item.locality) else {
                other = other ?? piece
                continue
            }
            statuses[piece] = .out
            return item
        }
        guard let other else { return nil }
        statuses[other] = .out
        return item(other)
    }

    /// Checks that there is a sum for every value, in the shape that other blocks have.
    public func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        let group = item.pieces[0] % groups.count
        let sums = try StatisticsItem.sums(in: result, values: groups[group].count)
        let known = stride(from: group, to: results.count, by: groups.count).lazy.compactMap { results[$0] }
            .first
        guard known.map({ $0.map(\.shape) == sums.map(\.shape) }) ?? true else {
            throw WorkMismatch("has other shapes than the sums of other blocks")
        }
    }

    /// Takes a block's sums.
    public mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        let piece = item.pieces[0]
        guard statuses[piece] != .known,
            let sums = try? StatisticsItem.sums(in: result, values: groups[piece % groups.count].count)
        else { return false }
        statuses[piece] = .known
        results[piece] = sums
        left -= 1
        return false
    }

    /// Takes a result of another run as it is, where block, samples and values are those of an item.
    public mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind else { return record.key.stage > stage ? .later : .none }
        let given: StatisticsItem
        do throws(WorkMismatch) {
            given = try StatisticsItem(payload: record.key.payload)
            _ = try StatisticsItem.sums(in: record.result, values: given.values.count)
        } catch { return .wrong(error) }
        guard given.state == state, let place = blocks.ids.firstIndex(of: given.block),
            blocks.samples[place] == given.samples, let group = groups.firstIndex(of: given.values)
        else { return .none }
        let item = item(place * groups.count + group)
        do throws(WorkMismatch) { try check(record.result, of: item) } catch { return .wrong(error) }
        return .part(item, result: record.result)
    }

    /// Whether the sums are still unknown.
    public func needs(_ item: WorkItem) -> Bool { statuses[item.pieces[0]] != .known }

    /// Makes an item available again.
    public mutating func giveBack(_ item: WorkItem) {
        if statuses[item.pieces[0]] == .out { statuses[item.pieces[0]] = .open }
    }

    /// The block, and how many values.
    public func describe(_ item: WorkItem, pieces: [Int]) -> String {
        let (place, group) = item.pieces[0].quotientAndRemainder(dividingBy: groups.count)
        let block = blocks.ids[place]
        return "block \(block.index) of shard \(block.shard), the means of \(groups[group].count) values,"
    }

    /// The sums over all samples that a run's records tell, by value: the very sums that the run used.
    ///
    /// - Throws: `WorkMismatch` for records that are none.
    public static func totals(of records: [WorkRecord]) throws(WorkMismatch) -> [Int: ValueSum] {
        var parts: [Int: [BlockID: ValueSum]] = [:]
        for record in records where record.key.kind == StatisticsItem.kind {
            let item = try StatisticsItem(payload: record.key.payload)
            let sums = try StatisticsItem.sums(in: record.result, values: item.values.count)
            for (value, sum) in zip(item.values, sums) where parts[value]?[item.block] == nil {
                parts[value, default: [:]][item.block] = sum
            }
        }
        return parts.mapValues { blocks in total(blocks.sorted { $0.key < $1.key }.map(\.value)) }
    }

    /// The sum of blocks, at least one, in the order given.
    private static func total(_ parts: [ValueSum]) -> ValueSum {
        parts.dropFirst().reduce(into: parts[0], +=)
    }

    /// The sums over all samples, by value.
    ///
    /// - Precondition: the source is complete.
    public func totals() -> [Int: ValueSum] {
        precondition(isComplete, "some sums are not known")
        var totals: [Int: ValueSum] = [:]
        for (group, values) in groups.enumerated() {
            for (offset, value) in values.enumerated() {
                totals[value] = StatisticsSource.total(
                    blocks.ids.indices.compactMap { results[$0 * groups.count + group]?[offset] })
            }
        }
        return totals
    }
}

/// The means of values as a content that workers are given.
public enum MeansTable {
    /// The bytes: for every value, in the order of their indices, the index, the shape and the elements, float32.
    public static func encode(_ means: ValueMeans) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(means.means.count)
        for (value, mean) in means.means.sorted(by: { $0.key < $1.key }) {
            writer.write(value)
            writer.write(mean.shape)
            writer.write(raw: mean.elements)
        }
        return writer.bytes
    }

    /// Reads the bytes.
    ///
    /// - Throws: `WorkMismatch` for bytes that are none.
    public static func decode(_ bytes: [UInt8]) throws(WorkMismatch) -> ValueMeans {
        var reader = ByteReader(bytes)
        var means: [Int: ValueMeans.Mean] = [:]
        for _ in 0..<(try reader.number()) {
            let value = try reader.number()
            let shape = try reader.numbers()
            let count = shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
            means[value] = ValueMeans.Mean(shape: shape, elements: try reader.floats(max(0, count)))
        }
        try reader.finish()
        return ValueMeans(means)
    }
}
