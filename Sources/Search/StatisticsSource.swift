public import ComputationGraph
public import Work

/// Sums over all samples, part by part: an item is some values, or a criterion, on consecutive blocks of a shard.
///
/// Blocks are added in order within a part, and parts in order, so that the sums do not depend on who computed them. The
/// parts follow from the blocks and the sizes of the values.
public struct StatisticsSource: WorkSource {
    private let state: Variant
    /// How many elements the sums have together.
    private let elements: Int
    /// What is summed: values in groups that are computed at once, or a criterion.
    private let groups: [StatisticsItem.Subject]
    private let groupNumbers: [StatisticsItem.Subject: Int]
    private let blocks: BlockList
    /// The places of each part's blocks in the list.
    private let parts: [Range<Int>]
    /// A row for each group; a part is known by its first block.
    private var grid: PieceGrid
    /// The sums of each group.
    private var sums: [RunningSums]

    /// 0 before a search, or that of the level whose work follows from the sums.
    public let stage: Int
    /// `statistics`.
    public var kind: WorkKind { StatisticsItem.kind }

    /// - Parameters:
    ///   - groups: indices of values of the graph; a result has the sums of one group.
    ///   - blocks: all samples, in blocks.
    ///   - elements: how many elements the sums of all values have together.
    public init(
        state: Variant = Variant(.empty), groups: [[Int]], blocks: BlockList, elements: Int
    ) {
        self.init(state: state, stage: 0, groups.map { .values($0) }, blocks: blocks, elements: elements)
    }

    /// What a criterion says of a state's channels, heads and neurons.
    ///
    /// - Parameters:
    ///   - level: the number of the level whose expansions follow from it; `nil` before a search.
    ///   - atoms: how many there are.
    public init(
        _ criterion: SliceCriterion, of state: Variant, level: Int?, blocks: BlockList, atoms: Int,
        means: ContentID?, fitData: ContentID?
    ) {
        let fitData = state.recovery.isNone ? nil : fitData
        self.init(
            state: state, stage: level.map { $0 + 1 } ?? 0,
            [.criterion(criterion, means: means, fitData: fitData)], blocks: blocks, elements: atoms)
    }

    private init(
        state: Variant, stage: Int, _ groups: [StatisticsItem.Subject], blocks: BlockList, elements: Int
    ) {
        self.state = state
        self.stage = stage
        self.elements = elements
        self.groups = groups
        self.blocks = blocks
        groupNumbers = Dictionary(uniqueKeysWithValues: zip(groups, groups.indices))
        parts = StatisticsSource.parts(of: blocks, elements: elements)
        grid = PieceGrid(rows: groups.count, blocks: parts.map { [blocks] in blocks.ids[$0.lowerBound] })
        sums = [RunningSums](repeating: RunningSums(), count: groups.count)
    }

    /// The most parts, unless there are more shards: enough for many workers, and few results to keep.
    private static let mostParts = 64
    /// The most bytes of sums that wait for those of parts before them, unless single parts have more.
    private static let waitingBytes = 256 << 20

    /// Divides the blocks of each shard into parts of nearly the same number of blocks.
    private static func parts(of blocks: BlockList, elements: Int) -> [Range<Int>] {
        let ids = blocks.ids
        let wanted = min(mostParts, waitingBytes / (MemoryLayout<Double>.size * max(1, elements)))
        let shards = Set(ids.map(\.shard)).count
        var parts: [Range<Int>] = []
        var start = 0
        while start < ids.count {
            let shard = ids[start].shard
            let size = ids[start...].prefix { $0.shard == shard }.count
            let count = min(size, max(1, wanted / shards))
            for number in 0..<count {
                parts.append(start + size * number / count..<start + size * (number + 1) / count)
            }
            start += size
        }
        return parts
    }

    /// What is measured, in a few words.
    public var label: String {
        switch groups.first {
        case .criterion(let criterion, _, _)?: "\(criterion.rawValue) over the data"
        case .values?, nil: "means over the data"
        }
    }

    /// Whether all sums are known.
    public var isComplete: Bool { grid.isComplete }
    /// The items that are known, and all of them: for progress.
    public var progress: (done: Int, total: Int) { grid.progress }
    /// A group on a part. Parts have nearly the same size.
    public var smallestCost: WorkCost { WorkCost(scale: "statistics", amount: 1) }

    private func item(_ piece: Int) -> WorkItem {
        let (group, place) = grid.position(of: piece)
        let part = parts[place]
        let first = blocks.ids[part.lowerBound]
        let payload = StatisticsItem(
            state: state, blocks: Array(blocks.ids[part]), samples: Array(blocks.samples[part]),
            subject: groups[group]
        ).payload
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: payload), shard: first.shard,
            contents: groups[group].contents + (state.weights.map { [ContentID($0)] } ?? []),
            locality: first.locality, cost: smallestCost, pieces: [piece])
    }

    /// The next group on a part.
    public mutating func next(for worker: WorkerView) -> WorkItem? { grid.next(for: worker).map { item($0) } }

    /// Checks that there is a sum for every value, in the shape that other parts have.
    public func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        let group = grid.position(of: item.pieces[0]).row
        let shapes = try StatisticsItem.sums(in: result, values: groups[group].count).map(\.shape)
        if case .criterion = groups[group], shapes != [[elements]] {
            throw WorkMismatch("has not a number for each of \(elements) channels, heads and neurons")
        }
        guard shapes == sums[group].shapes ?? shapes else {
            throw WorkMismatch("has other shapes than the sums of other blocks")
        }
    }

    /// Takes a part's sums.
    public mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        let (group, place) = grid.position(of: item.pieces[0])
        guard let part = try? StatisticsItem.sums(in: result, values: groups[group].count),
            grid.learn(item.pieces[0])
        else { return false }
        sums[group].add(part, at: place)
        return false
    }

    /// Takes a result of another run as it is, where blocks, samples and values are those of an item.
    public mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind else { return record.key.stage >= stage ? .later : .none }
        let given: StatisticsItem
        do throws(WorkMismatch) { given = try record.statistics().item } catch { return .wrong(error) }
        guard given.state == state, let place = grid.place(of: given.blocks[0]),
            let group = groupNumbers[given.subject]
        else { return record.key.stage >= stage ? .later : .none }
        let item = item(grid.piece(row: group, place: place))
        guard item.key == record.key else { return .none }
        do throws(WorkMismatch) { try check(record.result, of: item) } catch { return .wrong(error) }
        return .part(item, result: record.result)
    }

    /// Whether the sums are still unknown.
    public func needs(_ item: WorkItem) -> Bool { grid.needs(item.pieces[0]) }

    /// Makes an item available again.
    public mutating func giveBack(_ item: WorkItem) { grid.giveBack(item.pieces[0]) }

    /// The blocks, and how many values.
    public func describe(_ item: WorkItem, pieces: [Int]) -> String {
        let (group, place) = grid.position(of: item.pieces[0])
        let part = parts[place]
        let (first, last) = (blocks.ids[part.lowerBound], blocks.ids[part.upperBound - 1])
        let names = first == last ? "block \(first.index)" : "blocks \(first.index) to \(last.index)"
        switch groups[group] {
        case .values(let values):
            return "\(names) of shard \(first.shard), the means of \(values.count) values,"
        case .criterion(let criterion, _, _):
            return
                "\(names) of shard \(first.shard), \(criterion.rawValue) of channels, heads and neurons of \(state),"
        }
    }

    /// The sums over all samples, by value.
    ///
    /// - Precondition: the source is complete.
    public func totals() -> [Int: ValueSum] {
        precondition(isComplete, "some sums are not known")
        return Dictionary(
            uniqueKeysWithValues: zip(groups, sums).flatMap { subject, sums -> [(Int, ValueSum)] in
                if case .values(let values) = subject { Array(zip(values, sums.total)) } else { [] }
            })
    }

    /// What a criterion says, atom by atom, over all samples; `nil` where values are summed.
    ///
    /// - Precondition: the source is complete.
    public var criterionSums: [Double]? {
        precondition(isComplete, "some sums are not known")
        guard case .criterion? = groups.first else { return nil }
        return sums[0].total.first?.sums
    }

    /// The sums over all samples that a run's records tell, by value: the very sums that the run used.
    ///
    /// - Throws: `WorkMismatch` for records that are none.
    public static func totals(of records: [WorkRecord]) throws(WorkMismatch) -> [Int: ValueSum] {
        var parts: [Int: [BlockID: ValueSum]] = [:]
        for record in records where record.key.kind == StatisticsItem.kind {
            let (item, sums) = try record.statistics()
            for (value, sum) in zip(item.values, sums) where parts[value]?[item.blocks[0]] == nil {
                parts[value, default: [:]][item.blocks[0]] = sum
            }
        }
        return parts.mapValues { parts in
            let ordered = parts.sorted { $0.key < $1.key }.map(\.value)
            return ordered.dropFirst().reduce(into: ordered[0], +=)
        }
    }
}

/// The sums of a group of values, added up in the order of the parts, whatever the order in which they come.
private struct RunningSums: Sendable {
    /// The sums of all parts before `next`.
    private(set) var total: [ValueSum] = []
    private var next = 0
    /// The sums of later parts, by place.
    private var waiting: [Int: [ValueSum]] = [:]

    /// The shapes of the sums; `nil` while none is known.
    var shapes: [[Int]]? { (next > 0 ? total : waiting.first?.value)?.map(\.shape) }

    mutating func add(_ sums: [ValueSum], at place: Int) {
        waiting[place] = sums
        while let part = waiting.removeValue(forKey: next) {
            total.add(part)
            next += 1
        }
    }
}
