internal import ONNX

/// A small tensor that stands for a value by broadcasting: it has the value's rank, and each of its axes has either
/// the value's size or 1, where the value is the same all along the axis.
struct Constant: Hashable, Sendable {
    /// The type of the value that it stands for; elements are rounded to it.
    let elementType: ElementType
    /// The sizes, outermost first.
    let shape: [Int]
    /// The elements, row major; bools as 0 and 1.
    let elements: [Double]

    /// The constant with these elements, rounded to `elementType`.
    init(_ elementType: ElementType, shape: [Int], _ elements: [Double]) {
        self.elementType = elementType
        self.shape = shape
        self.elements = elements.map { elementType.rounded($0) }
    }

    /// The same number everywhere.
    init(_ elementType: ElementType, rank: Int, filledWith number: Double = 0) {
        self.init(elementType, shape: [Int](repeating: 1, count: rank), [number])
    }

    /// The contents of a number or bool tensor.
    init(_ data: TensorData) throws {
        elementType = data.elementType
        shape = data.shape
        elements =
            data.elementType.isFloatingPoint ? try data.doubles : try data.int64s.map { Double($0) }
    }

    var count: Int { elements.count }
    var rank: Int { shape.count }
    var isZero: Bool { elements.allSatisfy { $0 == 0 } }
    /// The number that all elements are, if they are one.
    var single: Double? { elements.count == 1 ? elements[0] : nil }
    /// Whether every element is `number`.
    func isFilled(with number: Double) -> Bool { elements.allSatisfy { $0 == number } }

    /// The constant repeated along axes of size 1; `nil` when another axis would change.
    func expanded(to target: [Int]) -> Constant? {
        let padded = [Int](repeating: 1, count: max(0, target.count - rank)) + shape
        guard padded.count == target.count, zip(padded, target).allSatisfy({ $0 == $1 || $0 == 1 }) else {
            return nil
        }
        if padded == target { return reshaped(target) }
        var strides = [Int](repeating: 0, count: target.count)
        var stride = 1
        for axis in target.indices.reversed() {
            strides[axis] = padded[axis] == 1 ? 0 : stride
            stride *= padded[axis]
        }
        return Constant(
            raw: elementType, target,
            Positions(target).map { position in
                elements[zip(position, strides).reduce(0) { $0 + $1.0 * $1.1 }]
            })
    }

    /// The same elements in another shape with as many.
    func reshaped(_ shape: [Int]) -> Constant { Constant(raw: elementType, shape, elements) }

    /// The constant with axes of size 1 in front, up to `rank`.
    func withRank(_ rank: Int) -> Constant {
        reshaped([Int](repeating: 1, count: max(0, rank - self.rank)) + shape)
    }

    /// The constant as another type.
    func converted(to type: ElementType) -> Constant { Constant(type, shape: shape, elements) }

    /// The positions along `axis`, in the order given. An axis of size 1 stays as it is.
    func selecting(_ positions: [Int], axis: Int) -> Constant {
        guard shape[axis] != 1 else { return self }
        let inner = shape[(axis + 1)...].reduce(1, *)
        let outer = shape[..<axis].reduce(1, *)
        var selected: [Double] = []
        for block in 0..<outer {
            for position in positions {
                let start = (block * shape[axis] + position) * inner
                selected += elements[start..<start + inner]
            }
        }
        var sizes = shape
        sizes[axis] = positions.count
        return Constant(raw: elementType, sizes, selected)
    }

    /// Axis `i` of the result is axis `permutation[i]` of this.
    func transposed(_ permutation: [Int]) -> Constant {
        let sizes = permutation.map { shape[$0] }
        var strides = [Int](repeating: 1, count: rank)
        for axis in shape.indices.dropLast().reversed() {
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        }
        let permuted = permutation.map { strides[$0] }
        return Constant(
            raw: elementType, sizes,
            Positions(sizes).map { position in
                elements[zip(position, permuted).reduce(0) { $0 + $1.0 * $1.1 }]
            })
    }

    /// The parts one after the other along `axis`, each repeated to the length given; `nil` when that fails.
    static func joined(_ parts: [(constant: Constant, length: Int)], axis: Int) -> Constant? {
        guard let first = parts.first?.constant else { return nil }
        if parts.allSatisfy({ $0.constant == first && first.shape[axis] == 1 }) { return first }
        var common = first.shape
        for (part, _) in parts {
            for index in common.indices where index != axis {
                common[index] = max(common[index], part.shape[index])
            }
        }
        var expanded: [Constant] = []
        for (part, length) in parts {
            var sizes = common
            sizes[axis] = length
            guard let whole = part.expanded(to: sizes) else { return nil }
            expanded.append(whole)
        }
        let outer = common[..<axis].reduce(1, *)
        var elements: [Double] = []
        for block in 0..<outer {
            for part in expanded {
                let size = part.count / outer
                elements += part.elements[block * size..<(block + 1) * size]
            }
        }
        common[axis] = parts.reduce(0) { $0 + $1.length }
        return Constant(raw: first.elementType, common, elements)
    }

    /// A function of every element.
    func mapped(_ function: (Double) -> Double) -> Constant {
        Constant(elementType, shape: shape, elements.map(function))
    }

    /// The elements along `axes` gathered into one, kept as axes of size 1; `finish` gets the result and how many.
    func folded(
        over axes: [Int], _ initial: Double, _ step: (Double, Double) -> Double,
        _ finish: (Double, Int) -> Double
    ) -> Constant {
        var sizes = shape
        for axis in axes { sizes[axis] = 1 }
        var strides = [Int](repeating: 0, count: rank)
        var stride = 1
        for axis in sizes.indices.reversed() where sizes[axis] > 1 {
            strides[axis] = stride
            stride *= sizes[axis]
        }
        let number = sizes.reduce(1, *)
        var totals = [Double](repeating: initial, count: number)
        for (position, element) in zip(Positions(shape), elements) {
            let index = zip(position, strides).reduce(0) { $0 + $1.0 * $1.1 }
            totals[index] = step(totals[index], element)
        }
        return Constant(elementType, shape: sizes, totals.map { finish($0, count / number) })
    }

    /// For elements that have been rounded already.
    private init(raw elementType: ElementType, _ shape: [Int], _ elements: [Double]) {
        self.elementType = elementType
        self.shape = shape
        self.elements = elements
    }
}

/// All positions in a shape, last axis fastest.
struct Positions: Sequence, IteratorProtocol {
    private let shape: [Int]
    private var current: [Int]
    private var remaining: Int

    init(_ shape: [Int]) {
        self.shape = shape
        current = [Int](repeating: 0, count: shape.count)
        remaining = shape.reduce(1, *)
    }

    mutating func next() -> [Int]? {
        guard remaining > 0 else { return nil }
        remaining -= 1
        defer {
            for axis in shape.indices.reversed() {
                current[axis] += 1
                if current[axis] < shape[axis] { break }
                current[axis] = 0
            }
        }
        return current
    }
}
