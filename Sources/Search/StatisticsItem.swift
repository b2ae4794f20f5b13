public import ComputationGraph
public import Work

/// The sums of some values over consecutive blocks of a shard.
///
/// The payload is a version, the state's text, the shard, for each block its place and its samples, and the values' indices.
/// The result has for every value its shape, the count, and the sums, float64.
public struct StatisticsItem: Sendable, Hashable {
    /// The kind of the work.
    public static let kind = WorkKind("statistics")
    private static let version: UInt8 = 2

    /// The variant that the values are computed under.
    public let state: Variant
    /// The blocks, all of one shard, ascending.
    public let blocks: [BlockID]
    /// The samples of each block, indices into the whole data set.
    public let samples: [[Int]]
    /// Indices of values of the graph.
    public let values: [Int]

    /// Sums of `values` over at least one block.
    public init(state: Variant, blocks: [BlockID], samples: [[Int]], values: [Int]) {
        self.state = state
        self.blocks = blocks
        self.samples = samples
        self.values = values
    }

    /// The canonical bytes.
    public var payload: [UInt8] {
        var writer = ByteWriter()
        writer.write(StatisticsItem.version)
        writer.write(state.description)
        writer.write(blocks[0].shard)
        writer.write(blocks.count)
        for (block, samples) in zip(blocks, samples) {
            writer.write(block.index)
            writer.write(samples)
        }
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
        let shard = try reader.number()
        var (blocks, samples): ([BlockID], [[Int]]) = ([], [])
        for _ in 0..<(try reader.number()) {
            blocks.append(BlockID(shard: shard, index: try reader.number()))
            samples.append(try reader.numbers())
        }
        let values = try reader.numbers()
        guard !samples.isEmpty, !samples.contains([]), !values.isEmpty else {
            throw WorkMismatch("is about nothing")
        }
        try reader.finish()
        self.init(state: state, blocks: blocks, samples: samples, values: values)
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
        return (item, try StatisticsItem.sums(in: result, values: item.values.count))
    }
}
