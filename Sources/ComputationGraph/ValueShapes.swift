/// The concrete shape of every value of a graph in a few runs of the unmasked model.
///
/// Runs differ in the sizes of the model's symbolic dimensions. A size that is the same in every run counts as
/// fixed, one that is a multiple of an input's dimension in every run counts as that multiple. So the runs must not
/// agree by chance: if the batch alone is symbolic, batches 2 and 3 will do; for symbolic heights and widths take
/// three runs with sizes that at least double from one to the next, some odd, and differ from each other.
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

    /// The runs.
    public let probes: [Probe]

    /// The shapes seen in `probes`.
    public init(probes: [Probe]) { self.probes = probes }

    /// The size of each axis of a value; `nil` where a run does not tell, ranks differ, or an axis is empty.
    func extents(of value: Int) -> [Extent]? {
        var shapes: [[Int]] = []
        for probe in probes {
            guard probe.shapes.indices.contains(value), let shape = probe.shapes[value] else { return nil }
            shapes.append(shape)
        }
        guard let first = shapes.first, shapes.allSatisfy({ $0.count == first.count && !$0.contains(0) })
        else {
            return nil
        }
        return first.indices.map { axis in Extent(sizes: shapes.map { $0[axis] }) }
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

    /// The size of the axis that has all pairs of two axes' positions.
    static func * (left: Extent, right: Extent) -> Extent {
        Extent(sizes: zip(left.sizes, right.sizes).map { $0 * $1 })
    }
}

/// How the size of an axis follows from the sizes of the model's inputs.
enum SizeExpression: Hashable, Sendable {
    /// An axis of a model input.
    struct InputAxis: Hashable, Sendable {
        let input: Int
        let axis: Int
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
        let pairs = zip(left.sizes, right.sizes)
        guard pairs.allSatisfy({ $1 > 0 && $0 % $1 == 0 }) else { return nil }
        let quotients = Set(pairs.map { $0 / $1 })
        return quotients.count == 1 ? quotients.first : nil
    }
}
