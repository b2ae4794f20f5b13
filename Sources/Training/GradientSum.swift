public import Work

/// A gradient summed over samples, with what else their pass told.
public struct GradientSum: Hashable, Sendable {
    /// Σ w_n ∂l_n/∂θ over the samples, weight by weight.
    public var gradient: [Float]
    /// Σ w_n l_n.
    public var loss: Double
    /// Σ w_n.
    public var weight: Double

    /// A sum.
    public init(gradient: [Float], loss: Double, weight: Double) {
        (self.gradient, self.loss, self.weight) = (gradient, loss, weight)
    }

    /// The sum of two, the one on the left first.
    ///
    /// - Precondition: they are of the same weights.
    public static func + (left: GradientSum, right: GradientSum) -> GradientSum {
        precondition(left.gradient.count == right.gradient.count)
        var sum = left
        sum.gradient.withUnsafeMutableBufferPointer { own in
            right.gradient.withUnsafeBufferPointer { other in
                for index in own.indices { own[index] += other[index] }
            }
        }
        sum.loss += right.loss
        sum.weight += right.weight
        return sum
    }

    /// The mean gradient over the samples.
    public var mean: [Float] {
        let scale = Float(1 / weight)
        return gradient.map { $0 * scale }
    }

    /// The bytes of a sum over `elements` weights.
    public static func byteCount(elements: Int) -> Int { 16 + 4 * elements }

    /// The canonical bytes.
    public var bytes: [UInt8] {
        var writer = ByteWriter(capacity: GradientSum.byteCount(elements: gradient.count))
        writer.write(raw: [loss, weight])
        writer.write(raw: gradient)
        return writer.bytes
    }

    /// Reads what `bytes` wrote.
    ///
    /// - Throws: `WorkMismatch` for bytes of another number of weights.
    public init(_ bytes: [UInt8], elements: Int) throws(WorkMismatch) {
        guard bytes.count == GradientSum.byteCount(elements: elements) else {
            throw WorkMismatch("has a wrong size: the gradient of \(elements) weights was asked for")
        }
        var reader = ByteReader(bytes)
        let numbers = try reader.doubles(2)
        (loss, weight) = (numbers[0], numbers[1])
        gradient = try reader.floats(elements)
        try reader.finish()
    }

    /// What consecutive parts come to, added in a binary tree that follows from their number alone: the largest power of two
    /// that is smaller than the number stands on the left.
    ///
    /// - Precondition: there is at least one.
    public static func inTree(_ parts: some RandomAccessCollection<GradientSum>) -> GradientSum {
        if parts.count == 1, let only = parts.first { return only }
        let left = GradientTree.leftCount(of: parts.count)
        return inTree(parts.prefix(left)) + inTree(parts.dropFirst(left))
    }
}

/// The binary tree in which the gradients of a step's micro-batches are added, whoever computes them.
struct GradientTree: Sendable {
    /// The places of consecutive micro-batches below a node of the tree.
    typealias Node = Range<Int>

    /// How many micro-batches there are.
    let count: Int
    /// What is known, in nodes as high as possible.
    private(set) var sums: [Node: GradientSum] = [:]

    init(count: Int) { self.count = count }

    /// How many of so many leaves stand on the left of their root.
    static func leftCount(of count: Int) -> Int {
        var left = 1
        while left * 2 < count { left *= 2 }
        return left
    }

    /// The children of a node with more than one micro-batch.
    private static func children(of node: Node) -> (left: Node, right: Node) {
        let middle = node.lowerBound + leftCount(of: node.count)
        return (node.lowerBound..<middle, middle..<node.upperBound)
    }

    /// The sum over all micro-batches, once it is known.
    var total: GradientSum? { sums[0..<count] }

    /// The nodes from the root down, larger ones first.
    var nodes: [Node] {
        var nodes: [Node] = []
        var level: [Node] = [0..<count]
        while !level.isEmpty {
            nodes += level
            level = level.flatMap { node -> [Node] in
                guard node.count > 1 else { return [] }
                let (left, right) = GradientTree.children(of: node)
                return [left, right]
            }
        }
        return nodes.sorted { ($1.count, $0.lowerBound) < ($0.count, $1.lowerBound) }
    }

    /// Takes in what a node comes to, in the place of what is known of parts of it, and adds up what follows.
    mutating func learn(_ node: Node, _ sum: GradientSum) {
        for part in sums.keys where node.contains(part.lowerBound) { sums[part] = nil }
        sums[node] = sum
        combine(0..<count)
    }

    /// Adds up what can be within a node.
    private mutating func combine(_ node: Node) {
        guard sums[node] == nil, node.count > 1 else { return }
        let (left, right) = GradientTree.children(of: node)
        combine(left)
        combine(right)
        guard let first = sums[left], let second = sums[right] else { return }
        sums[left] = nil
        sums[right] = nil
        sums[node] = first + second
    }
}
