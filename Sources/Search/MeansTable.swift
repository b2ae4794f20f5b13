public import ComputationGraph
public import Work

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
