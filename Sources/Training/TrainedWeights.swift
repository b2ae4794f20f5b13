public import Work

/// The weights that training changes, one after the other, with what the optimiser keeps of earlier steps.
///
/// A step is computed in this one place, in single precision and in the order of the weights, with operations that IEEE 754
/// defines to the last bit: the same on every machine.
public struct TrainedWeights: Hashable, Sendable {
    /// A tensor among the weights.
    public struct Part: Hashable, Sendable {
        /// How many elements it has.
        public let count: Int
        /// Whether weight decay shrinks it.
        public let decays: Bool
        /// Whether it follows what passes measure in the place of gradients, a tenth of the way each step: running statistics.
        public let isStatistic: Bool

        /// A tensor of so many elements.
        public init(count: Int, decays: Bool, isStatistic: Bool = false) {
            (self.count, self.decays, self.isStatistic) = (count, decays, isStatistic)
        }
    }

    /// The weights' tensors.
    public let parts: [Part]
    /// All elements, part by part in C order.
    public private(set) var elements: [Float]
    /// The velocity of SGD, or the first moment of AdamW.
    private var first: [Float]
    /// The second moment of AdamW; empty otherwise.
    private var second: [Float]
    /// Steps that were taken.
    public private(set) var steps = 0

    /// The share of the way that running statistics go each step: that of PyTorch's layers.
    private static let momentum: Float = 0.1

    /// Weights that no step has changed.
    ///
    /// - Precondition: statistics are the last parts; there are as many elements as the parts have together.
    public init(_ elements: [Float], parts: [Part], optimizer: Optimizer) {
        precondition(parts.reduce(0) { $0 + $1.count } == elements.count, "the elements are not the parts'")
        precondition(
            parts.drop { !$0.isStatistic }.allSatisfy(\.isStatistic), "statistics are the last parts")
        (self.elements, self.parts) = (elements, parts)
        first = [Float](repeating: 0, count: elements.count)
        if case .adamw = optimizer { second = first } else { second = [] }
    }

    /// Takes one step.
    ///
    /// - Parameters:
    ///   - gradient: as many elements as there are weights; already divided by the samples' weight.
    ///   - recipe: its optimiser is the one that the weights were made for.
    /// - Returns: the gradient's L2 norm, before it is shortened.
    public mutating func step(_ gradient: [Float], by recipe: TrainingRecipe) -> Double {
        precondition(gradient.count == elements.count, "the gradient is not the weights'")
        let trained = parts.prefix { !$0.isStatistic }.reduce(0) { $0 + $1.count }
        let norm = gradient.prefix(trained).reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        let scale = recipe.clip.map { min(1, Float($0 / (norm + 1e-6))) } ?? 1
        let rate = recipe.rate(at: steps)
        steps += 1
        var start = 0
        for part in parts {
            let range = start..<start + part.count
            start = range.upperBound
            guard !part.isStatistic else {
                for index in range {
                    elements[index] += TrainedWeights.momentum * (gradient[index] - elements[index])
                }
                continue
            }
            let decay = part.decays ? recipe.weightDecay : 0
            switch recipe.optimizer {
            case .sgd(let momentum):
                descend(range, gradient, scale, Float(rate), Float(momentum), Float(decay))
            case .adamw(let beta1, let beta2, let epsilon):
                let adam = Adam(
                    rate: rate, decay: decay, beta1: beta1, beta2: beta2, epsilon: epsilon, step: steps)
                descend(range, gradient, scale, adam)
            }
        }
        return norm
    }

    private mutating func descend(
        _ range: Range<Int>, _ gradient: [Float], _ scale: Float, _ rate: Float, _ momentum: Float,
        _ decay: Float
    ) {
        elements.withUnsafeMutableBufferPointer { weights in
            first.withUnsafeMutableBufferPointer { velocity in
                gradient.withUnsafeBufferPointer { gradient in
                    for index in range {
                        let slope = gradient[index] * scale + decay * weights[index]
                        velocity[index] = momentum * velocity[index] + slope
                        weights[index] -= rate * velocity[index]
                    }
                }
            }
        }
    }

    private mutating func descend(_ range: Range<Int>, _ gradient: [Float], _ scale: Float, _ adam: Adam) {
        elements.withUnsafeMutableBufferPointer { weights in
            first.withUnsafeMutableBufferPointer { first in
                second.withUnsafeMutableBufferPointer { second in
                    gradient.withUnsafeBufferPointer { gradient in
                        for index in range {
                            let slope = gradient[index] * scale
                            first[index] = adam.keep1 * first[index] + adam.take1 * slope
                            second[index] = adam.keep2 * second[index] + adam.take2 * slope * slope
                            let root = second[index].squareRoot() / adam.root2 + adam.epsilon
                            weights[index] =
                                weights[index] * adam.shrink - adam.stride * first[index] / root
                        }
                    }
                }
            }
        }
    }

    /// The numbers of a step of AdamW.
    private struct Adam {
        let (shrink, stride, root2, epsilon): (Float, Float, Float, Float)
        let (keep1, take1, keep2, take2): (Float, Float, Float, Float)

        init(rate: Double, decay: Double, beta1: Double, beta2: Double, epsilon: Double, step: Int) {
            func power(_ base: Double) -> Double { (0..<step).reduce(1) { product, _ in product * base } }
            (keep1, take1, keep2, take2) = (Float(beta1), Float(1 - beta1), Float(beta2), Float(1 - beta2))
            stride = Float(rate / (1 - power(beta1)))
            root2 = Float((1 - power(beta2)).squareRoot())
            self.epsilon = Float(epsilon)
            shrink = Float(1 - rate * decay)
        }
    }
}

extension TrainedWeights {
    /// The bytes of the elements: what whoever computes gradients needs.
    public var content: [UInt8] { TrainedWeights.content(of: elements) }

    /// The bytes of weights, float32 in little-endian order.
    public static func content(of elements: [Float]) -> [UInt8] {
        var writer = ByteWriter(capacity: 4 * elements.count)
        writer.write(raw: elements)
        return writer.bytes
    }

    /// Reads what `content` wrote.
    ///
    /// - Throws: `WorkMismatch` for bytes that are no numbers.
    public static func elements(in content: [UInt8]) throws(WorkMismatch) -> [Float] {
        var reader = ByteReader(content)
        let elements = try reader.floats(content.count / 4)
        try reader.finish()
        return elements
    }

    /// All that a training goes on from, as bytes.
    public var checkpoint: [UInt8] {
        var writer = ByteWriter(capacity: 12 * elements.count)
        writer.write(steps)
        writer.write(elements.count)
        writer.write(second.count)
        for list in [elements, first, second] { writer.write(raw: list) }
        return writer.bytes
    }

    /// Takes up what `checkpoint` wrote.
    ///
    /// - Throws: `WorkMismatch` for bytes that are of other weights.
    public mutating func restore(_ checkpoint: [UInt8]) throws(WorkMismatch) {
        var reader = ByteReader(checkpoint)
        let steps = try reader.number()
        guard try reader.number() == elements.count, try reader.number() == second.count else {
            throw WorkMismatch("is of other weights")
        }
        let (elements, first) = (try reader.floats(elements.count), try reader.floats(elements.count))
        let second = try reader.floats(second.count)
        try reader.finish()
        (self.elements, self.first, self.second, self.steps) = (elements, first, second, steps)
    }
}
