/// The concrete shape of every value of a graph in a few runs of the unmasked model.
///
/// Runs differ in the sizes of the model's symbolic dimensions. A size that is the same in every run counts as
/// fixed, one that is a multiple of an input's dimension in every run counts as that multiple. So the runs must not
/// agree by chance: if the batch alone is symbolic, batches 2 and 3 will do; for symbolic heights and widths take
/// smaller and larger sizes, even and odd ones. Of an axis that no run varied nothing is known: what may follow from it
/// (``SizeTracing``) counts neither as fixed nor as equal to anything that it is not certain to be equal to.
public struct ValueShapes: Sendable {
    /// One run.
    public struct Probe: Sendable {
        /// The shape of each model input, in the order of `Graph.inputs`.
        public let inputShapes: [[Int]]
        /// The shape of each value, by value index; `nil` where the run does not tell.
        public let shapes: [[Int]?]

        /// A run's shapes, by input and by value index.
        public init(inputShapes: [[Int]], shapes: [[Int]?]) {
            self.inputShapes = inputShapes
            self.shapes = shapes
        }
    }

    /// The runs, and one more made up where axes were not varied: in it, sizes that nothing is known of are numbers
    /// that no other size is.
    let probes: [Probe]

    /// The shapes seen in `probes`, in which every symbolic axis has been varied.
    public init(probes: [Probe]) { self.probes = probes }

    /// The shapes of `graph` seen in `probes`, in none of which the axes of `unvaried` had another size.
    ///
    /// - Parameter unvaried: input axes in groups that are one size by declaration.
    public init(of graph: Graph, probes: [Probe], unvaried: [[SizeExpression.InputAxis]]) {
        guard !unvaried.isEmpty, let run = probes.last else {
            self.probes = probes
            return
        }
        var open: [SizeExpression.InputAxis: Int] = [:]
        for (number, axes) in unvaried.enumerated() { for axis in axes { open[axis] = number } }
        let tracing = SizeTracing(graph, shapes: run.shapes, open: open)
        var made = run.shapes
        for (value, sizes) in tracing.sizes.enumerated() {
            for (axis, size) in (sizes ?? []).enumerated() {
                if case .open(let number) = size { made[value]?[axis] = Self.unlikely(number) }
            }
        }
        let inputs = graph.inputs.map { made[$0.value] ?? [] }
        self.probes = probes + [Probe(inputShapes: inputs, shapes: made)]
    }

    /// A size that no axis has, nor any product or quotient of a few: a large odd number for every `number`.
    private static func unlikely(_ number: Int) -> Int {
        // Knuth's multiplicative hash spreads the numbers; products of them wrap around and stay unlikely.
        let spread = UInt64(truncatingIfNeeded: number &+ 1) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: spread >> 2) | 1
    }

    /// The size of each axis of a value; `nil` where a run does not tell, ranks differ, or an axis is empty in any other run
    /// than the first, which has the data's own sizes.
    func extents(of value: Int) -> [Extent]? {
        var shapes: [[Int]] = []
        for probe in probes {
            guard probe.shapes.indices.contains(value), let shape = probe.shapes[value] else { return nil }
            shapes.append(shape)
        }
        let mayBeEmpty = shapes.count > 1 ? 1 : 0
        guard let first = shapes.first, shapes.allSatisfy({ $0.count == first.count }),
            shapes.dropFirst(mayBeEmpty).allSatisfy({ !$0.contains(0) })
        else {
            return nil
        }
        return first.indices.map { axis in Extent(sizes: shapes.map { $0[axis] }) }
    }

    /// The number of elements of a value in the first run; `nil` where it does not tell.
    package func activationSizes(_ value: Int) -> Int? {
        guard let shapes = probes.first?.shapes, shapes.indices.contains(value) else { return nil }
        return shapes[value]?.reduce(1, *)
    }

    /// The axes of a value whose size is not the same in every run; all of them where runs do not tell.
    package func variableAxes(of value: Int) -> Set<Int> {
        guard let extents = extents(of: value) else {
            let rank =
                (probes.first?.shapes).flatMap { $0.indices.contains(value) ? $0[value]?.count : nil } ?? 16
            return Set(0..<rank)
        }
        return Set(extents.indices.filter { extents[$0].fixed == nil })
    }

    /// An axis whose size is `size` in every run.
    func fixed(_ size: Int) -> Extent { Extent(sizes: probes.map { _ in size }) }
}

/// The size of one axis, run by run. Two axes with equal extents are taken to be equal always.
struct Extent: Hashable, Sendable {
    /// The size in each probe.
    let sizes: [Int]

    /// The size, if it is the same in every probe.
    var fixed: Int? {
        guard let first = sizes.first, sizes.allSatisfy({ $0 == first }) else { return nil }
        return first
    }

    /// The size that times `other` is this one in every probe.
    func divided(by other: Extent) -> Extent? {
        let pairs = zip(sizes, other.sizes)
        guard pairs.allSatisfy({ $1 > 0 && $0 % $1 == 0 }) else { return nil }
        return Extent(sizes: pairs.map { $0 / $1 })
    }

    /// The size of the axis that has all pairs of two axes' positions.
    static func * (left: Extent, right: Extent) -> Extent {
        Extent(sizes: zip(left.sizes, right.sizes).map { $0 &* $1 })
    }
}

/// How the size of an axis follows from the sizes of the model's inputs.
public enum SizeExpression: Hashable, Sendable {
    /// An axis of a model input.
    public struct InputAxis: Hashable, Sendable {
        /// The input's place in `Graph.inputs`.
        public let input: Int
        /// The axis, counted from the first.
        public let axis: Int

        /// Axis `axis` of input `input`.
        public init(input: Int, axis: Int) { (self.input, self.axis) = (input, axis) }
    }

    case fixed(Int)
    /// The product of input axes, times `by`.
    case computed([InputAxis], by: Int)
}

extension ValueShapes {
    /// How `extent` follows from the inputs' sizes; `nil` when no simple rule agrees with every probe.
    ///
    /// Tried in this order: fixed, a multiple of an input's axis, a multiple of a product of two. Parts and sums are
    /// none: what a strided layer makes of an odd size is not theirs to say.
    func expression(for extent: Extent) -> SizeExpression? {
        if let size = extent.fixed { return .fixed(size) }
        let axes = inputAxes()
        for (axis, size) in axes {
            if let factor = quotient(extent, size) { return .computed([axis], by: factor) }
        }
        for (index, (first, firstSize)) in axes.enumerated() {
            for (second, secondSize) in axes[index...] {
                if let factor = quotient(extent, firstSize * secondSize) {
                    return .computed([first, second], by: factor)
                }
            }
        }
        return nil
    }

    /// The input axes whose sizes differ between probes.
    private func inputAxes() -> [(axis: SizeExpression.InputAxis, extent: Extent)] {
        guard let first = probes.first else { return [] }
        return first.inputShapes.indices.flatMap { input in
            first.inputShapes[input].indices.compactMap { axis in
                let sizes = probes.compactMap { probe -> Int? in
                    let shape = probe.inputShapes.indices.contains(input) ? probe.inputShapes[input] : []
                    return shape.indices.contains(axis) ? shape[axis] : nil
                }
                let extent = Extent(sizes: sizes)
                guard sizes.count == probes.count, extent.fixed == nil else { return nil }
                return (.init(input: input, axis: axis), extent)
            }
        }
    }

    /// The whole number that `right` must be multiplied by to give `left` in every probe.
    private func quotient(_ left: Extent, _ right: Extent) -> Int? {
        // Nothing is any multiple of nothing.
        let pairs = zip(left.sizes, right.sizes).filter { $0 != 0 || $1 != 0 }
        guard pairs.allSatisfy({ $1 > 0 && $0 % $1 == 0 }) else { return nil }
        let quotients = Set(pairs.map { $0 / $1 })
        return quotients.count == 1 ? quotients.first : nil
    }
}
