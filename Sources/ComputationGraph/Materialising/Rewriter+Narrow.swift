internal import ONNX

/// Vertices that compute the same for every sample: they are computed once.
extension Rewriter {
    /// One sample in the place of a batch of equal ones; the result repeats along axis 0.
    ///
    /// - Parameter isSamplewise: whether the vertex treats the positions of axis 0 one by one, given the rank of its input.
    mutating func rewriteNarrow(
        _ vertex: Vertex, _ operands: [Operand?], where isSamplewise: (Rewriter, Vertex, Int) throws -> Bool
    ) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil,
            vertex.outputs.dropFirst().allSatisfy({ $0.map { !isRead($0) } ?? true }),
            let data = operands.first ?? nil, let before = data.extents, let after = extents(of: output),
            before.count >= 2, after.count >= 2, before[0] == after[0], before[0].fixed != 1,
            !before.dropFirst().contains(where: { $0.fixed == nil }),
            !after.dropFirst().contains(where: { $0.fixed == nil }),
            try isSamplewise(self, vertex, before.count),
            operands.dropFirst().allSatisfy({
                $0.map { !$0.isSpecial && isOriginalConstant($0.value) } ?? true
            })
        else { return false }
        let sizes = [shapes.fixed(1)] + before.dropFirst()
        let tensor: String
        switch data.form {
        case .uniform(let constant) where constant.shape[0] == 1:
            tensor = try expanded(constant, extents: sizes, value: data.value)
        case .narrow(let name, let shape) where shape[0] == 1:
            tensor = try expand(name, sizes: shape, extents: sizes, value: data.value)
        default: return false
        }
        let name = names("\(graph.values[output].name)/small")
        emit(
            copyOf: vertex, inputs: [tensor] + operands.dropFirst().map { $0.map(self.name(of:)) },
            outputs: [name])
        forms[output] = .narrow(name, [1] + after.dropFirst().compactMap(\.fixed))
        return true
    }
}
