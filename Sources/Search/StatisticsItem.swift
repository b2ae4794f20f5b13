public import ComputationGraph
public import Work

/// Sums over consecutive blocks of a shard: of some values, or of what a criterion says of channels, heads and neurons.
///
/// The payload is a version, the state's text, the shard, for each block its place and its samples, and the values' indices; for
/// a criterion it is another version, and instead of the values there are the criterion's name, and the sizes and hashes of the
/// means and the fit data (a size of 0 for none). The result has for every value its shape, the count, and the sums, float64; for
/// a criterion there is one sum, with an element for each atom of the graph's groups.
public struct StatisticsItem: Sendable, Hashable {
    /// The kind of the work.
    public static let kind = WorkKind("statistics")
    private static let version: UInt8 = 2
    private static let criterionVersion: UInt8 = 3

    /// What is summed.
    public enum Subject: Sendable, Hashable {
        /// Values of the graph, by their indices.
        case values([Int])
        /// What a criterion says of all channels, heads and neurons, with what removed slots read and what fits are made on.
        case criterion(SliceCriterion, means: ContentID?, fitData: ContentID?)

        /// How many sums there are.
        public var count: Int {
            switch self {
            case .values(let values): values.count
            case .criterion: 1
            }
        }

        /// What whoever computes it needs besides model and data.
        var contents: [ContentID] {
            switch self {
            case .values: []
            case .criterion(_, let means, let fitData): [means, fitData].compactMap { $0 }
            }
        }
    }

    /// The variant that the sums are of.
    public let state: Variant
    /// The blocks, all of one shard, ascending.
    public let blocks: [BlockID]
    /// The samples of each block, indices into the whole data set.
    public let samples: [[Int]]
    /// What is summed.
    public let subject: Subject

    /// Sums over at least one block.
    public init(state: Variant, blocks: [BlockID], samples: [[Int]], subject: Subject) {
        self.state = state
        self.blocks = blocks
        self.samples = samples
        self.subject = subject
    }

    /// The values that are summed, by their indices; none where a criterion is.
    public var values: [Int] { if case .values(let values) = subject { values } else { [] } }

    /// The canonical bytes.
    public var payload: [UInt8] {
        var writer = ByteWriter()
        switch subject {
        case .values: writer.write(StatisticsItem.version)
        case .criterion: writer.write(StatisticsItem.criterionVersion)
        }
        writer.write(state.description)
        writer.write(blocks[0].shard)
        writer.write(blocks.count)
        for (block, samples) in zip(blocks, samples) {
            writer.write(block.index)
            writer.write(samples)
        }
        switch subject {
        case .values(let values): writer.write(values)
        case .criterion(let criterion, let means, let fitData):
            writer.write(criterion.rawValue)
            writer.write(means)
            writer.write(fitData)
        }
        return writer.bytes
    }

    /// Reads a payload.
    ///
    /// - Throws: `WorkMismatch` for bytes that are none.
    public init(payload: [UInt8]) throws(WorkMismatch) {
        var reader = ByteReader(payload)
        let version = try reader.byte()
        guard version == StatisticsItem.version || version == StatisticsItem.criterionVersion else {
            throw WorkMismatch("is of another version")
        }
        guard let state = Variant(try reader.text()) else { throw WorkMismatch("names a state that is none") }
        let shard = try reader.number()
        var (blocks, samples): ([BlockID], [[Int]]) = ([], [])
        for _ in 0..<(try reader.number()) {
            blocks.append(BlockID(shard: shard, index: try reader.number()))
            samples.append(try reader.numbers())
        }
        let subject: Subject
        if version == StatisticsItem.version {
            subject = .values(try reader.numbers())
        } else {
            guard let criterion = SliceCriterion(rawValue: try reader.text()) else {
                throw WorkMismatch("names a criterion that is none")
            }
            subject = .criterion(criterion, means: try reader.content(), fitData: try reader.content())
        }
        guard !samples.isEmpty, !samples.contains([]), subject.count > 0 else {
            throw WorkMismatch("is about nothing")
        }
        try reader.finish()
        self.init(state: state, blocks: blocks, samples: samples, subject: subject)
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

extension WorkRecord {
    /// What statistics were asked for, and the sums, one per value.
    ///
    /// - Throws: `WorkMismatch` for a record that holds no statistics.
    func statistics() throws(WorkMismatch) -> (item: StatisticsItem, sums: [ValueSum]) {
        let item = try StatisticsItem(payload: key.payload)
        return (item, try StatisticsItem.sums(in: result, values: item.subject.count))
    }
}
