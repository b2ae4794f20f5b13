internal import ONNX

/// How positions along the axes of a vertex's inputs correspond to positions along the axes of its outputs.
///
/// A vertex is seen as a loop over dimensions. An axis of a tensor runs through one of them, through all combinations of
/// several (the channels of a grouped convolution are its groups times the channels of each; a reshape joins and divides
/// axes), or through parts that lie one after the other (a concatenation).
///
/// MatMul of [M, K] and [K, N], for example, has the dimensions m, n and k. Its inputs run through [m, k] and [k, n], its
/// output through [m, n]; m and n are separate, k is summed over.
package struct AxisMap: Hashable, Sendable {
    /// What positions along a dimension have to do with each other.
    package enum Kind: Hashable, Sendable {
        /// An output at one position reads inputs at this position alone.
        case separate
        /// No output has it: outputs are sums over its positions. One where an input is zero adds nothing.
        case summed
        /// An output at one position may read inputs at all of them: along windows, and where numbers are normalised or
        /// averaged, or the largest is taken.
        case mixed
        /// An output at one position reads inputs at all of them, but through sums alone, as a normalisation reads them through
        /// mean and variance: without some positions the others are computed as if there were zeros.
        case averaged
    }

    /// One dimension of the loop.
    package struct Dimension: Hashable, Sendable {
        package let size: Int
        package let kind: Kind
    }

    /// A run of positions along an axis: all combinations of some dimensions, the first of them outermost. Without
    /// dimensions it is one position, which whatever is computed from it shares.
    package struct Part: Hashable, Sendable {
        package let dimensions: [Int]
    }

    /// The parts of an axis, in order.
    package struct Axis: Hashable, Sendable {
        package let parts: [Part]
    }

    /// The dimensions of the loop. Of size 1 are those alone that tell a part of an axis from the others.
    package let dimensions: [Dimension]
    /// For every input slot, its axes; `nil` where nothing is there, or nothing is said of it: sizes, indices, limits.
    package let inputs: [[Axis]?]
    /// For every output, its axes; `nil` where nothing is there.
    package let outputs: [[Axis]?]

    /// The positions along an axis of an input that an output reads at one position along an axis of its own.
    ///
    /// - Returns: in ascending order; `nil` where the map does not speak of such an axis, or has no such position.
    package func positions(
        alongInput slot: Int, axis: Int, readByOutput output: Int, axis outputAxis: Int, at position: Int
    ) -> [Int]? {
        guard inputs.indices.contains(slot), outputs.indices.contains(output), let read = inputs[slot],
            let written = outputs[output], read.indices.contains(axis), written.indices.contains(outputAxis),
            (0..<length(of: written[outputAxis])).contains(position)
        else { return nil }
        let target = place(position, along: written[outputAxis])
        var (others, otherWritten) = (read, written)
        others.remove(at: axis)
        otherWritten.remove(at: outputAxis)
        // Positions of one part have the same dimensions, so whether the other axes fit is asked once for each part.
        var fits: [Set<Int>: Bool] = [:]
        return (0..<length(of: read[axis])).filter { index in
            let source = place(index, along: read[axis])
            guard agree(source, target) else { return false }
            let key = source.excluded
            if let known = fits[key] { return known }
            let fit = meet(source.span, others[...], target.span, otherWritten[...])
            fits[key] = fit
            return fit
        }
    }

    /// The positions along an axis.
    package func length(of axis: Axis) -> Int { axis.parts.reduce(0) { $0 + length(of: $1) } }

    /// Whether an axis runs through separate and summed dimensions alone.
    package func isExact(_ axis: Axis) -> Bool {
        axis.parts.flatMap(\.dimensions).allSatisfy { !dimensions[$0].kind.readsAll }
    }

    private func length(of part: Part) -> Int { part.dimensions.reduce(1) { $0 * dimensions[$1].size } }

    /// Where a position along an axis is in the loop: its position in some dimensions, and dimensions of parts that it is
    /// not in.
    private struct Place {
        var positions: [Int: Int] = [:]
        var excluded: Set<Int> = []
        /// Without the positions.
        var span: Span { Span(dimensions: Set(positions.keys), excluded: excluded) }
    }

    /// The dimensions that an element's place fixes, and those of parts that it is not in.
    private struct Span {
        var dimensions: Set<Int> = []
        var excluded: Set<Int> = []

        func meets(_ other: Span) -> Bool {
            excluded.isDisjoint(with: other.dimensions) && other.excluded.isDisjoint(with: dimensions)
        }
    }

    /// Whether an element of an input and one of an output can meet, with a choice of parts along further axes of both.
    private func meet(
        _ source: Span, _ sourceAxes: ArraySlice<Axis>, _ target: Span, _ targetAxes: ArraySlice<Axis>
    ) -> Bool {
        guard source.meets(target) else { return false }
        if let axis = sourceAxes.first {
            return spans(of: axis, after: source).contains {
                meet($0, sourceAxes.dropFirst(), target, targetAxes)
            }
        }
        if let axis = targetAxes.first {
            return spans(of: axis, after: target).contains { meet(source, [], $0, targetAxes.dropFirst()) }
        }
        return true
    }

    private func spans(of axis: Axis, after span: Span) -> [Span] {
        axis.parts.indices.map { chosen in
            var span = span
            for (index, part) in axis.parts.enumerated() {
                if index == chosen {
                    span.dimensions.formUnion(part.dimensions)
                } else {
                    span.excluded.formUnion(part.dimensions)
                }
            }
            return span
        }
    }

    private func place(_ position: Int, along axis: Axis) -> Place {
        var place = Place()
        var start = 0
        for part in axis.parts {
            let length = length(of: part)
            if (start..<start + length).contains(position) {
                var rest = position - start
                for dimension in part.dimensions.reversed() {
                    place.positions[dimension] = rest % dimensions[dimension].size
                    rest /= dimensions[dimension].size
                }
            } else {
                place.excluded.formUnion(part.dimensions)
            }
            start += length
        }
        return place
    }

    private func agree(_ left: Place, _ right: Place) -> Bool {
        left.span.meets(right.span)
            && left.positions.allSatisfy { dimension, position in
                dimensions[dimension].kind.readsAll
                    || right.positions[dimension].map { $0 == position } ?? true
            }
    }
}

extension AxisMap.Kind {
    /// Whether an output at one position may read inputs at others.
    fileprivate var readsAll: Bool { self == .mixed || self == .averaged }
}

/// A rule for how axes correspond at certain sizes; `nil` where they do not in any simple way.
typealias AxisRule = @Sendable (AxisQuery) throws -> AxisMap?

extension Vertex {
    /// The axis that an attribute names, counted from the front; `nil` when a tensor of this rank has no such axis.
    func axis(_ name: String = "axis", default fallback: Int, rank: Int) throws -> Int? {
        let axis = try node.int(name, default: fallback)
        let resolved = axis < 0 ? axis + rank : axis
        return (0..<rank).contains(resolved) ? resolved : nil
    }
}

/// A vertex at certain sizes.
struct AxisQuery {
    let vertex: Vertex
    /// The shape in each slot; `nil` where nothing is there or the shape is not known.
    let inputs: [[Int]?]
    /// The shape of each output.
    let outputs: [[Int]?]
    /// The whole numbers in a slot, where the file holds them or they follow from sizes.
    let integers: (Int) -> [Int]?

    func input(_ slot: Int) -> [Int]? { inputs.indices.contains(slot) ? inputs[slot] : nil }
    /// The shape of the first output.
    var output: [Int]? { outputs.first ?? nil }

    /// An axis that an attribute names, counted from the front; `nil` when a tensor of this rank has no such axis.
    func axis(_ name: String = "axis", default fallback: Int, rank: Int) throws -> Int? {
        try vertex.axis(name, default: fallback, rank: rank)
    }

    /// The axes that attribute or input 1 names, counted from the front; `nil` when they are not known.
    func axes(rank: Int, default fallback: [Int]) throws -> [Int]? {
        let isGiven = vertex.inputs.count > 1 && vertex.inputs[1] != nil
        let named = try vertex.node.ints("axes", default: nil) ?? (isGiven ? integers(1) : fallback)
        let axes = named?.map { $0 < 0 ? $0 + rank : $0 }
        return axes.flatMap { $0.allSatisfy((0..<rank).contains) ? $0 : nil }
    }
}

/// Collects the dimensions of a map.
struct AxisMapBuilder {
    private var dimensions: [AxisMap.Dimension] = []

    /// The axis of one position, which everything shares.
    static let one = AxisMap.Axis(parts: [.init(dimensions: [])])

    /// An axis of its own dimension.
    mutating func axis(_ size: Int, _ kind: AxisMap.Kind = .separate) -> AxisMap.Axis {
        if size == 1 { return Self.one }
        dimensions.append(.init(size: size, kind: kind))
        return AxisMap.Axis(parts: [.init(dimensions: [dimensions.count - 1])])
    }

    /// An axis of its own dimension for each size.
    mutating func axes(_ sizes: some Sequence<Int>, _ kind: AxisMap.Kind = .separate) -> [AxisMap.Axis] {
        var axes: [AxisMap.Axis] = []
        for size in sizes { axes.append(axis(size, kind)) }
        return axes
    }

    /// All combinations of axes of one part, the first of them outermost.
    func product(_ axes: AxisMap.Axis...) -> AxisMap.Axis { product(of: axes) }

    /// All combinations of axes of one part, the first of them outermost.
    func product(of axes: [AxisMap.Axis]) -> AxisMap.Axis {
        AxisMap.Axis(parts: [.init(dimensions: axes.flatMap { $0.parts.flatMap(\.dimensions) })])
    }

    /// Axes one after the other. They are runs, so that those of one position are told apart too.
    func sequence(_ runs: [AxisMap.Axis]) -> AxisMap.Axis { AxisMap.Axis(parts: runs.flatMap(\.parts)) }

    /// An axis of its own dimension, be it of one position.
    mutating func run(_ size: Int, _ kind: AxisMap.Kind = .separate) -> AxisMap.Axis {
        dimensions.append(.init(size: size, kind: kind))
        return AxisMap.Axis(parts: [.init(dimensions: [dimensions.count - 1])])
    }

    /// The axes of an operand that broadcasts to a shape with these axes.
    func broadcast(_ shape: [Int], to axes: [AxisMap.Axis], of target: [Int]) -> [AxisMap.Axis]? {
        guard shape.count <= target.count else { return nil }
        let skipped = target.count - shape.count
        guard shape.indices.allSatisfy({ shape[$0] == 1 || shape[$0] == target[$0 + skipped] }) else {
            return nil
        }
        return shape.indices.map { shape[$0] == 1 ? Self.one : axes[$0 + skipped] }
    }

    /// The map of a vertex with these axes.
    func map(inputs: [[AxisMap.Axis]?], outputs: [[AxisMap.Axis]?]) -> AxisMap {
        AxisMap(dimensions: dimensions, inputs: inputs, outputs: outputs)
    }
}

extension Graph {
    /// How the axes of a vertex's inputs and outputs correspond.
    ///
    /// - Parameter shapes: the shape of every value at the sizes that count, by value index.
    /// - Returns: `nil` where the operator has no rule, or the rule does not tell at these sizes.
    package func axisMap(of vertex: Vertex, shapes: [[Int]?]) -> AxisMap? {
        guard vertex.node.domain.isEmpty || vertex.node.domain == "ai.onnx", let rule = vertex.facts.axes
        else {
            return nil
        }
        func shape(_ value: Int?) -> [Int]? {
            value.flatMap { shapes.indices.contains($0) ? shapes[$0] : nil }
        }
        let query = AxisQuery(
            vertex: vertex, inputs: vertex.inputs.map(shape), outputs: vertex.outputs.map(shape),
            integers: { slot in
                var lists = ListedSizes(self, shapes: shapes)
                return lists.complete(vertex, slot)
            })
        // No position of an empty axis corresponds to anything. Regions of interest, say, may be empty.
        guard !(query.inputs.prefix(1) + query.outputs).contains(where: { $0?.contains(0) ?? false }),
            let map = (try? rule(query)) ?? nil, map.dimensions.allSatisfy({ $0.size > 0 })
        else { return nil }
        return map
    }
}
