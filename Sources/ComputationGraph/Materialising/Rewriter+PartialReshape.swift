internal import ONNX

/// Reshaping of partial values.
extension Rewriter {
    /// Reshaping that keeps the ranges of a partial value together.
    mutating func rewriteReshape(_ vertex: Vertex, _ operand: Operand, _ partial: Partial) throws -> Bool {
        guard let before = operand.extents, let output = vertex.outputs.first ?? nil,
            let after = extents(of: output),
            let group = AxisGroup.groups(from: before, to: after)?.first(where: {
                $0.before.contains(partial.axis)
            }),
            before[group.before.lowerBound..<partial.axis].allSatisfy({ $0.fixed == 1 }),
            let axis = group.after.first(where: { after[$0].fixed != 1 }),
            let length = after[axis].fixed
        else { return false }
        let innerBefore = before[(partial.axis + 1)..<group.before.upperBound].map(\.fixed)
        let innerAfter = after[(axis + 1)..<group.after.upperBound].map(\.fixed)
        guard !innerBefore.contains(nil), !innerAfter.contains(nil) else { return false }
        let (times, over) = (
            innerBefore.reduce(1) { $0 * ($1 ?? 1) }, innerAfter.reduce(1) { $0 * ($1 ?? 1) }
        )
        guard partial.segments.allSatisfy({ $0.length * times % over == 0 }) else { return false }
        var segments: [Partial.Segment] = []
        for segment in partial.segments {
            let size = segment.length * times / over
            guard let constant = segment.constant else {
                segments.append(.init(length: size, constant: nil))
                continue
            }
            var (source, target) = (before, after)
            source[partial.axis] = shapes.fixed(segment.length)
            target[axis] = shapes.fixed(size)
            let evaluation = Evaluation(
                vertex: vertex, inputs: [.init(source: .constant(constant), extents: source)],
                outputs: [.init(extents: target, elementType: constant.elementType)], originals: originals)
            guard let result = try evaluation.results()?.first else { return false }
            segments.append(.init(length: size, constant: result))
        }
        let tensor = packed(partial, value: operand.value)
        let name = names("\(graph.values[output].name)/kept")
        if vertex.operation == "Flatten" {
            emit(copyOf: vertex, inputs: [tensor], outputs: [name])
        } else {
            var target = after
            target[axis] = shapes.fixed(length * partial.liveLength / partial.length)
            let unknown = target.indices.filter { target[$0].fixed == nil }
            let shape =
                unknown.count <= 1
                ? try integers(target.map { $0.fixed ?? -1 }, hint: "sizes")
                : try shapeTensor(target, of: output)
            emit(copyOf: vertex, inputs: [tensor, shape], outputs: [name])
        }
        let result = Partial(axis: axis, segments: segments, packing: .packed(name))
        forms[output] = .partial(result.repacked(name, axis: axis) { $0 })
        return true
    }
}
