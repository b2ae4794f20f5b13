public import ComputationGraph

/// What trusting a surrogate costs: how much worse the edge that it puts first is than the best one.
public struct Regret: Sendable, Hashable {
    /// The edge with the smallest score; the first in canonical order among ties.
    public let chosen: Edge
    /// The edge with the smallest exact objective.
    public let best: Edge
    /// The exact objective of `chosen` minus that of `best`; never negative.
    public let regret: Double
    /// The place of `chosen` in the exact order, from 1; ties share the better place.
    public let exactRank: Int

    /// Compares scores with exact objectives; in both, smaller is to be removed sooner.
    ///
    /// - Parameters:
    ///   - edges: the candidates, at least one.
    ///   - scores: one finite score per edge.
    ///   - objectives: one exact objective per edge; infinite where the loss is no number.
    /// - Returns: `nil` when there are no edges, or the best exact objective is not finite.
    public init?(edges: [Edge], scores: [Double], objectives: [Double]) {
        precondition(edges.count == scores.count && edges.count == objectives.count, "a value for every edge")
        guard let chosen = edges.indices.min(by: { (scores[$0], edges[$0]) < (scores[$1], edges[$1]) }),
            let best = edges.indices.min(by: { (objectives[$0], edges[$0]) < (objectives[$1], edges[$1]) }),
            objectives[best].isFinite
        else { return nil }
        self.chosen = edges[chosen]
        self.best = edges[best]
        regret = objectives[chosen] - objectives[best]
        exactRank = 1 + objectives.count { $0 < objectives[chosen] }
    }
}
