internal import Cluster
public import ComputationGraph
internal import Search
public import Training
public import Work

/// Shows that two machines compute the same bits: a digest of the losses of the full model, and of the model without each
/// of a few edges, on one block; where weights are trained, of a gradient.
public enum NumericsProof {
    /// The work that the digest is of: the losses of the first samples of some data, in full and without each of some edges.
    public static func key(edges: [Edge], samples: Int) -> WorkKey {
        let item = LossItem(
            state: Variant(.empty), block: BlockID(shard: 0, index: 0), samples: Array(0..<samples),
            units: [nil] + edges.map { Unit($0) })
        return WorkKey(kind: LossItem.kind, stage: 0, payload: item.payload)
    }

    /// The work that the digest is of where weights are trained: the gradient over the first samples of some data.
    public static func key(_ subject: TrainingSubject, weights: ContentID, samples: Int) -> WorkKey {
        let item = GradientItem(
            subject, weights: weights, step: 0, place: 0,
            microBatches: [SampleOrder.MicroBatch(shard: 0, samples: Array(0..<samples))])
        return WorkKey(kind: GradientItem.kind, stage: 0, payload: item.payload)
    }

    /// The digest of a result.
    ///
    /// - Returns: SHA-256, 32 bytes.
    public static func digest(of result: [UInt8]) -> [UInt8] { ContentHash.content(of: result).sha256 }
}
