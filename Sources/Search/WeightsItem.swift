public import ComputationGraph
public import Work

/// The weights that a variant's recovery makes: what its expansions start from, and what its file gets.
///
/// The payload is a version, the variant's text, the sizes and hashes of the means and the fit data (a size of 0 for none), and
/// the number of a shard whose holder computes it. The result is `RecoveredWeights`.
public struct WeightsItem: Sendable, Hashable {
    /// The kind of the work.
    public static let kind = WorkKind("weights")
    private static let version: UInt8 = 1

    /// What is recovered.
    public let variant: Variant
    /// The table of means that removed slots may read; `nil` for none.
    public let means: ContentID?
    /// The data that recoveries fit on.
    public let fitData: ContentID?
    /// The shard whose holder computes it.
    public let shard: Int

    /// The weights of a variant.
    public init(_ variant: Variant, means: ContentID?, fitData: ContentID?, shard: Int) {
        (self.variant, self.means, self.fitData, self.shard) = (variant, means, fitData, shard)
    }

    /// The canonical bytes.
    public var payload: [UInt8] {
        var writer = ByteWriter()
        writer.write(WeightsItem.version)
        writer.write(variant.description)
        writer.write(means)
        writer.write(fitData)
        writer.write(shard)
        return writer.bytes
    }

    /// Reads a payload.
    ///
    /// - Throws: `WorkMismatch` for bytes that are none.
    public init(payload: [UInt8]) throws(WorkMismatch) {
        var reader = ByteReader(payload)
        guard try reader.byte() == WeightsItem.version else { throw WorkMismatch("is of another version") }
        guard let variant = Variant(try reader.text()) else {
            throw WorkMismatch("names a variant that is none")
        }
        let (means, fitData) = (try reader.content(), try reader.content())
        let shard = try reader.number()
        try reader.finish()
        self.init(variant, means: means, fitData: fitData, shard: shard)
    }
}

extension ContentID {
    /// The content that holds weights.
    public init(_ weights: WeightsID) { self.init(sha256: weights.sha256, size: weights.size) }
}

extension WeightsID {
    /// The weights that a content holds.
    public init(_ content: ContentID) { self.init(sha256: content.sha256, size: content.size) }
}
