internal import Datasets
internal import Torch

/// The losses that are defined once, for the search and for gradients: in double precision, a number for each position
/// of a sample, averaged over positions.
extension LossFunction {
    /// The loss of every sample, [N].
    ///
    /// - Parameter output: with the samples first.
    func perSample(_ output: Tensor, against reference: Reference, counts: Tensor?) throws -> Tensor {
        guard output.rank >= 1 else {
            throw EngineError.data(
                "the model's output '\(term.output)' is a single number: the loss needs rows")
        }
        let wide = try output.converted(to: .float64)
        let losses = try pointwise(wide, target(for: wide, reference))
        guard losses.rank > 1 else { return losses }
        let places = Array(1..<losses.rank)
        guard let counts, applies(counts, to: output) else { return try losses.averaged(over: places) }
        // Σ m · l / Σ m; a sample without a position that counts has the loss 0.
        let weights = try counts.converted(to: .float64)
        let others = losses.shape.dropFirst(2).reduce(1, *)
        let weighted =
            try losses * weights.reshaped(weights.shape + [Int](repeating: 1, count: losses.rank - 2))
        let total = try weights.summed(over: [1]) * Double(others)
        let isEmpty = try equals(.tensor(total), .double(0))
        let divisor = try isEmpty.choosing(Tensor.filled(1, shape: total.shape, type: .float64), else: total)
        return try weighted.summed(over: places) / divisor
    }

    /// What the output is compared with, in its shape and double precision.
    private func target(for output: Tensor, _ reference: Reference) throws -> Tensor {
        switch reference {
        case .tensor(let tensor):
            let target = try samplesFirstTarget(tensor).converted(to: .float64)
            if target.shape == output.shape { return target }
            guard !loss.needsReference, target.count == output.count, target.shape.first == output.shape[0]
            else {
                throw EngineError.data(
                    loss.needsReference
                        ? "the output has shape \(output.shape), the unpruned model's \(target.shape)"
                        : "the output has shape \(output.shape), the targets have \(target.shape)")
            }
            return try target.reshaped(output.shape)
        case .labels(let labels, let positions):
            return try binaryTargets(labels, positions: positions, shape: output.shape)
        }
    }

    /// Labels as targets of sigmoids: 0 or 1 for each output, or the number of the one class that is 1.
    ///
    /// - Parameter shape: the output's, with the samples first.
    func binaryTargets(_ labels: [Int64], positions: Int, shape: [Int]) throws -> Tensor {
        guard loss == .binaryCrossEntropy else {
            throw EngineError.data("the loss \(loss.rawValue) lacks what it compares with")
        }
        let perSample = shape.dropFirst().reduce(1, *)
        if perSample == positions {
            guard let stray = labels.first(where: { $0 != 0 && $0 != 1 }) else {
                return try Tensor(labels, shape: shape).converted(to: .float64)
            }
            throw EngineError.data(
                "the label \(stray) is neither 0 nor 1, as bce needs for a label per output")
        }
        let dimension = term.classAxis ?? (shape.count >= 4 ? 1 : shape.count - 1)
        guard shape.indices.contains(dimension), dimension > 0, perSample == positions * shape[dimension]
        else {
            throw EngineError.data(
                "the output has shape \(shape): \(perSample) numbers per sample for \(positions) labels")
        }
        let classes = shape[dimension]
        if let stray = labels.first(where: { !(0..<Int64(classes)).contains($0) }) {
            throw EngineError.data("the label \(stray) is outside the model's \(classes) classes")
        }
        var places = shape
        places.remove(at: dimension)
        // The classes come last here.
        let flags = try oneHot(.tensor(Tensor(labels, shape: places)), .int(classes)).converted(to: .float64)
        var order = Array(0..<shape.count - 1)
        order.insert(shape.count - 1, at: dimension)
        return try flags.permuted(order)
    }

    /// The loss at each position, [N, …]: without the dimension of classes where the loss is one number for them all.
    private func pointwise(_ output: Tensor, _ target: Tensor) throws -> Tensor {
        switch loss {
        case .meanSquaredError, .selfMeanSquaredError:
            let difference = try output - target
            return try difference * difference
        case .meanAbsoluteError, .selfMeanAbsoluteError: return try (output - target).magnitudes()
        case .binaryCrossEntropy:
            // −t log q − (1 − t) log(1 − q).
            let logs = try bernoulliLogarithms(output)
            return try (target * logs.one + complement(target) * logs.zero) * -1
        case .selfBinaryCrossEntropy:
            // p log(p/q) + (1 − p) log((1 − p)/(1 − q)).
            let (base, other) = try (bernoulliLogarithms(target), bernoulliLogarithms(output))
            return try base.probability * (base.one - other.one)
                + complement(base.probability) * (base.zero - other.zero)
        case .cosine, .selfCosine: return try angle(output, target)
        case .klDivergence: return try divergence(output, from: target)
        case .crossEntropy, .nextToken:
            throw EngineError.data("the loss \(loss.rawValue) lacks what it compares with")
        }
    }

    /// Σ p (log p − log q) over classes, as Σ p (exp t − 1 − t) with t = log q − log p: the same where both sum to 1,
    /// never negative term by term, and exact to second order where rounding leaves the sums a little off 1.
    private func divergence(_ output: Tensor, from target: Tensor) throws -> Tensor {
        guard output.rank >= 2 else {
            throw EngineError.data("the output has shape \(output.shape): kl needs a dimension of classes")
        }
        let dimension = classDimension(output)
        let base = try logProbabilities(target, dimension: dimension)
        let other = try logProbabilities(output, dimension: dimension)
        let probabilities = try exponential(.tensor(base))
        let difference = try other - base
        let terms =
            try probabilities
            * (exponentialMinusOne(.tensor(difference)) - difference)
        // What has no probability at all adds the other's.
        let absent = try equals(.tensor(probabilities), .double(0))
        return try absent.choosing(exponential(.tensor(other)), else: terms).summed(over: [dimension])
    }

    /// log q, log(1 − q) and q of sigmoids, or of the sigmoids of logits.
    private func bernoulliLogarithms(_ output: Tensor) throws -> (
        one: Tensor, zero: Tensor, probability: Tensor
    ) {
        switch term.form {
        case .sigmoids, .probabilities:
            func logarithm(_ tensor: Tensor) throws -> Tensor {
                try log(.tensor(clampMinimum(.tensor(tensor), .double(Double(Float.leastNormalMagnitude)))))
            }
            return try (logarithm(output), logarithm(complement(output)), output)
        case .logProbabilities:
            let probability = try exponential(.tensor(output))
            return try (output, log(.tensor(complement(probability))), probability)
        case .logits, .values:
            return try (
                logSigmoid(.tensor(output)), logSigmoid(.tensor(output * -1)), sigmoid(.tensor(output))
            )
        }
    }

    private func complement(_ tensor: Tensor) throws -> Tensor { try tensor * -1 + 1 }

    /// 1 − cos as half the squared distance of the unit vectors, which keeps its digits near 0; 1 where one of the
    /// vectors is 0, and 0 where both are.
    private func angle(_ output: Tensor, _ target: Tensor) throws -> Tensor {
        let dimension = classDimension(output)
        guard output.rank >= 2 else {
            throw EngineError.data(
                "the output has shape \(output.shape): cosine needs a dimension of features")
        }
        func unit(_ tensor: Tensor) throws -> (vector: Tensor, square: Tensor) {
            let length = try (tensor * tensor).summed(over: [dimension], keeping: true)
            let smallest = Double.leastNormalMagnitude
            let vector = try tensor / clampMinimum(.tensor(length), .double(smallest)).squareRooted()
            return (vector, try (vector * vector).summed(over: [dimension]))
        }
        let (left, right) = try (unit(output), unit(target))
        let difference = try left.vector - right.vector
        return try
            ((difference * difference).summed(over: [dimension])
            + (left.square - right.square).magnitudes()) * 0.5
    }
}

private let exponential = Operation("aten::exp")
private let exponentialMinusOne = Operation("aten::expm1")
private let log = Operation("aten::log")
private let clampMinimum = Operation("aten::clamp_min")
private let logSigmoid = Operation("aten::log_sigmoid")
private let sigmoid = Operation("aten::sigmoid")
private let equals = Operation("aten::eq.Scalar")
private let oneHot = Operation("aten::one_hot")
