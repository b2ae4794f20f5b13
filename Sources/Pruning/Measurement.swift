public import ComputationGraph
internal import Engine
public import Search

extension Workload {
    /// The exact loss of a mask, on the samples in their own order.
    ///
    /// - Throws: `GraphError` when the mask names no candidate or cuts an output off.
    public func measure(_ mask: Mask) async throws -> State {
        try graph.checkRemovable(mask)
        let evaluator = try evaluator()
        let local = LocalEvaluator { task in
            try evaluator.evaluate(state: task.state, samples: task.samples, expansions: task.edges)
        }
        let parent = Parent(unmeasured: mask, division)
        let level = Level(
            number: 0, parents: [parent],
            expansions: [Expansion(parent: 0, edge: nil, mask: mask, cost: costs.cost(of: mask))], keep: 1,
            baseLoss: 0, objective: .signed)
        let outcome = try await local.evaluate(level, division: division, usesBounds: false)
        guard let state = outcome.best.first else { throw SearchError.baseNotMeasured }
        return state
    }
}

extension Workload {
    /// Writes the model without the edges of `mask`, checked by running it.
    public func writePruned(_ mask: Mask, to path: String) throws {
        try graph.checkRemovable(mask)
        try MaterialisedModel(mask, workload: self).write(to: path)
    }
}

extension Graph {
    /// Checks that every edge of `mask` may be removed, and that together they leave every output its input.
    public func checkRemovable(_ mask: Mask) throws(GraphError) {
        for edge in mask.edges { try requireCandidate(edge) }
        guard Liveness(of: self, under: mask).isConnected else { throw .disconnected(mask) }
    }
}
