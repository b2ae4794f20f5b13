public import Coordination
public import ComputationGraph
internal import Datasets
public import Engine

/// Shows that two machines compute the same bits: a digest of the losses of the full model, and of the model without each
/// of a few edges, on one block.
public enum NumericsProof {
    /// The digest of what `evaluator` computes on samples of its data.
    ///
    /// - Returns: SHA-256, 32 bytes, of the losses' bits in the order of edges and samples.
    public static func digest(_ reference: Reference, samples: Range<Int>, evaluator: Evaluator) throws
        -> [UInt8]
    {
        try digest(edges: reference.edges, samples: samples, evaluator: evaluator)
    }

    /// The digest of what `evaluator` computes on samples of its data, in full and without each of some edges.
    ///
    /// - Returns: SHA-256, 32 bytes, of the losses' bits in the order of edges and samples.
    public static func digest(edges: [Edge], samples: Range<Int>, evaluator: Evaluator) throws -> [UInt8] {
        let scores = try evaluator.evaluate(
            state: .empty, samples: Array(samples), expansions: [nil] + edges.map { Unit($0) })
        let hasher = ContentHasher()
        for score in scores {
            for loss in score.losses {
                withUnsafeBytes(of: loss.bitPattern.littleEndian) { hasher.update($0) }
            }
        }
        return hasher.finish()
    }
}
