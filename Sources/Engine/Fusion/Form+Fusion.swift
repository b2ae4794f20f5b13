internal import ComputationGraph

extension Specialisation.Form {
    /// How `vertex` is computed faster than by its own kernel: fused with layers before it, or by an operator that
    /// is not recorded for gradients. `nil` where there is no such form.
    ///
    /// It follows from the graph, the shapes and the numbers that are settings of layers; which form is computed follows from the mask (`Cuts.form`).
    init?(endingIn vertex: Vertex, _ pattern: Pattern) throws {
        if pattern.isRecorded {
            guard
                let form = try Gelu(endingIn: vertex, pattern)?.form
                    ?? LinearLayer(endingIn: vertex, pattern)?.form
            else { return nil }
            self = form
            return
        }
        guard
            let form = try Gelu(endingIn: vertex, pattern)?.form ?? LinearLayer(endingIn: vertex, pattern)?
                .form
                ?? StackProduct(endingIn: vertex, pattern)?.form ?? RowNormalization(vertex, pattern)?.form
                ?? WinogradConvolution(endingIn: vertex, pattern)?.form
                ?? pattern.normalizations[vertex.index]?.form(in: vertex, pattern)
        else { return nil }
        self = form
    }
}
