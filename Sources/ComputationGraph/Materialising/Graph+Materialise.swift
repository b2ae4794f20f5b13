public import ONNX

extension Graph {
    /// The real, smaller model that computes what this graph computes with the edges of `mask` removed.
    ///
    /// Dead vertices and their parameters are gone, constants are folded or read small, zeroed parts of
    /// concatenations are gone together with the weights that read them. Inputs and outputs keep their names and
    /// types; inputs that nothing reads any more stay declared. The model runs at every size of the symbolic
    /// dimensions that the original ran at.
    ///
    /// - Parameters:
    ///   - mask: the removed edges.
    ///   - means: what slots read whose values are replaced by their means.
    ///   - shapes: the shapes of all values of this graph, unmasked, in two or more runs with different sizes of the
    ///     symbolic dimensions (one run if there is none).
    /// - Throws: `GraphError` for a mask that leaves an output without a model input, or for constants that cannot
    ///   be written; `ModelError` for an attribute of the wrong type.
    public func materialise(_ mask: Mask, shapes: ValueShapes, means: ValueMeans = ValueMeans()) throws
        -> ModelProto
    {
        for unit in mask.units where unit.replacement == .mean {
            for case let value? in edges(of: unit).map(value(on:)) where means.means[value] == nil {
                throw GraphError.notWritable(reason: "the mean of '\(values[value].name)' is not known")
            }
        }
        for unit in mask.units { try requireCandidate(unit) }
        guard Liveness(of: self, under: mask).isConnected else { throw GraphError.disconnected(mask) }
        guard mask.slices.isEmpty else {
            try requireCompatible(mask)
            let sliced = try SlicedGraph(self, without: mask.slices)
            let rest = mask.withoutSlices
            guard !rest.isEmpty else { return sliced.model }
            return try sliced.graph.materialise(
                rest, shapes: sliced.shapes(shapes), means: sliced.means(means))
        }
        var rewriter = Rewriter(self, mask, shapes, means: means)
        try rewriter.rewriteAll()
        var cleanup = Cleanup(rewriter)
        return try cleanup.model()
    }
}
