internal import Datasets
internal import Torch

/// What a loss is: a term over output and target at each position of a sample.
///
/// The term is written once, with operations that autograd can take apart. All numbers of the loss follow from it: those
/// of the search (`LossFunction.scores`), its gradients and curvatures (`LossFunction.losses`), and the loss of a
/// constant output (`ConstantPredictor`). The weights of samples follow from what it compares with.
protocol LossDefinition: Sendable {
    /// What outputs are compared with.
    var comparison: LossComparison { get }
    /// The same loss against the unpruned model's outputs, if there is one.
    var selfConsistent: Loss? { get }
    /// Whether a term is one number for all classes or features of a position.
    var spansClasses: Bool { get }
    /// Whether terms are computed in double precision; otherwise in the output's, which is enough for terms that do not
    /// come near 0 as differences of much larger numbers. Where positions have weights, all terms are.
    var isDouble: Bool { get }

    /// The loss at each position: never negative but for rounding.
    ///
    /// - Parameters:
    ///   - output: with the samples first.
    ///   - target: of the output's shape and precision; of losses with labels, the class of each position, with a 1 in
    ///     the dimension of classes.
    /// - Returns: the output's shape; without the dimension of classes where the loss spans them.
    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor

    /// Labels as a target of an output's shape, for losses that take them in place of targets.
    ///
    /// - Parameters:
    ///   - labels: by sample and position.
    ///   - positions: labels of a sample.
    ///   - shape: the output's, with the samples first.
    /// - Throws: `EngineError` for labels that do not fit.
    func target(_ labels: [Int64], positions: Int, shape: [Int], classDimension: Int) throws -> Tensor

    /// Why the loss would be a number without a meaning on outputs of a form, as the end of a sentence that begins with
    /// the output; `nil` where it has one.
    ///
    /// - Parameter loss: the loss's name.
    func objection(to form: OutputForm, classes: Int, loss: String) -> String?

    /// Outputs or targets in a form whose mean is an output too: probabilities rather than logits.
    func averageable(_ rows: LossOutput) throws -> LossOutput
}

/// What a loss compares outputs with.
enum LossComparison: Hashable {
    /// The unpruned model's outputs.
    case unprunedOutputs
    /// The array `targets`.
    case targets
    /// The array `labels`, class by class: predictions are right or wrong.
    case labels(Labels.Reading)
    /// The array `targets`, or the array `labels` made to one.
    case targetsOrLabels

    /// The array that it is, unless the data say more.
    var array: String? {
        switch self {
        case .unprunedOutputs: nil
        case .targets, .targetsOrLabels: Dataset.targetsName
        case .labels: Dataset.labelsName
        }
    }
}

extension LossDefinition {
    func target(_ labels: [Int64], positions: Int, shape: [Int], classDimension: Int) throws -> Tensor {
        throw EngineError.data("the loss lacks what it compares with")
    }
    func objection(to form: OutputForm, classes: Int, loss: String) -> String? { nil }
    func averageable(_ rows: LossOutput) throws -> LossOutput { rows }
}

/// An output, or another tensor of its kind, as the term of a loss reads it.
struct LossOutput {
    /// With the samples first.
    let tensor: Tensor
    /// What the numbers are.
    let form: OutputForm
    /// The dimension of classes or features.
    let classDimension: Int

    /// Other numbers of the same kind.
    func with(_ tensor: Tensor, form: OutputForm? = nil) -> LossOutput {
        LossOutput(tensor: tensor, form: form ?? self.form, classDimension: classDimension)
    }

    /// The logarithms of probabilities, or of the softmax of logits.
    var logProbabilities: Tensor {
        get throws {
            switch form {
            case .probabilities: try LossOutput.logarithm(tensor)
            case .logProbabilities: tensor
            case .logits, .sigmoids, .values: try logSoftmax(.tensor(tensor), .int(classDimension), .none)
            }
        }
    }

    /// log q, log(1 − q) and q of sigmoids, or of the sigmoids of logits.
    var bernoulli: (one: Tensor, zero: Tensor, probability: Tensor) {
        get throws {
            switch form {
            case .sigmoids, .probabilities:
                return try (
                    LossOutput.logarithm(tensor), LossOutput.logarithm(tensor.complement), tensor
                )
            case .logProbabilities:
                let probability = try exponential(.tensor(tensor))
                return try (tensor, log(.tensor(probability.complement)), probability)
            case .logits, .values:
                return try (
                    logSigmoid(.tensor(tensor)), logSigmoid(.tensor(tensor * -1)), sigmoid(.tensor(tensor))
                )
            }
        }
    }

    /// log x, finite at 0.
    private static func logarithm(_ tensor: Tensor) throws -> Tensor {
        try log(.tensor(clampMinimum(.tensor(tensor), .double(Double(Float.leastNormalMagnitude)))))
    }
}

extension Tensor {
    /// 1 − x.
    fileprivate var complement: Tensor { get throws { try self * -1 + 1 } }

    /// Checks that an output has a dimension beside that of the samples.
    ///
    /// - Parameter name: what lies along it.
    /// - Throws: `EngineError` that says what the loss needs.
    func requireDimension(of name: String, for loss: String) throws {
        guard rank < 2 else { return }
        throw EngineError.data("the output has shape \(shape): \(loss) needs a dimension of \(name)")
    }
}

// MARK: The losses

/// −log p of the label's class.
struct CrossEntropy: LossDefinition {
    let reading: Labels.Reading

    var comparison: LossComparison { .labels(reading) }
    var selfConsistent: Loss? { nil }
    var spansClasses: Bool { true }
    var isDouble: Bool { false }

    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        let chosen = try gather(
            .tensor(output.logProbabilities), .int(output.classDimension), .tensor(target))
        return try negative(.tensor(chosen))
    }

    func objection(to form: OutputForm, classes: Int, loss: String) -> String? {
        if form == .sigmoids { return independentSigmoids + "bce, or say what it is with --output-is" }
        return classes < 2 ? "has one class, over which \(loss) is always 0: use --loss bce" : nil
    }
}

/// (y − t)².
struct SquaredError: LossDefinition {
    let comparison: LossComparison

    var selfConsistent: Loss? { .selfMeanSquaredError }
    var spansClasses: Bool { false }
    var isDouble: Bool { false }

    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        let difference = try output.tensor - target
        return try difference * difference
    }
}

/// |y − t|.
struct AbsoluteError: LossDefinition {
    let comparison: LossComparison

    var selfConsistent: Loss? { .selfMeanAbsoluteError }
    var spansClasses: Bool { false }
    var isDouble: Bool { true }

    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        try (output.tensor - target).magnitudes()
    }
}

/// −t log q − (1 − t) log(1 − q) of independent sigmoids.
struct BinaryCrossEntropy: LossDefinition {
    var comparison: LossComparison { .targetsOrLabels }
    var selfConsistent: Loss? { .selfBinaryCrossEntropy }
    var spansClasses: Bool { false }
    var isDouble: Bool { true }

    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        let logs = try output.bernoulli
        return try (target * logs.one + target.complement * logs.zero) * -1
    }

    /// 0 or 1 for each output, or the number of the one class that is 1.
    func target(_ labels: [Int64], positions: Int, shape: [Int], classDimension: Int) throws -> Tensor {
        let perSample = shape.dropFirst().reduce(1, *)
        if perSample == positions {
            guard let stray = labels.first(where: { $0 != 0 && $0 != 1 }) else {
                return try Tensor(labels, shape: shape).converted(to: .float64)
            }
            throw EngineError.data(
                "the label \(stray) is neither 0 nor 1, as bce needs for a label per output")
        }
        guard shape.indices.contains(classDimension), classDimension > 0,
            perSample == positions * shape[classDimension]
        else {
            throw EngineError.data(
                "the output has shape \(shape): \(perSample) numbers per sample for \(positions) labels")
        }
        let classes = shape[classDimension]
        if let stray = labels.first(where: { !(0..<Int64(classes)).contains($0) }) {
            throw EngineError.data("the label \(stray) is outside the model's \(classes) classes")
        }
        var places = shape
        places.remove(at: classDimension)
        // The classes come last here.
        let flags = try oneHot(.tensor(Tensor(labels, shape: places)), .int(classes)).converted(to: .float64)
        var order = Array(0..<shape.count - 1)
        order.insert(shape.count - 1, at: classDimension)
        return try flags.permuted(order)
    }

    func objection(to form: OutputForm, classes: Int, loss: String) -> String? {
        form == .values ? unknownScale(loss) : nil
    }

    /// Targets are numbers between 0 and 1, whatever the outputs are.
    func averageable(_ rows: LossOutput) throws -> LossOutput { rows.with(rows.tensor, form: .sigmoids) }
}

/// p log(p/q) + (1 − p) log((1 − p)/(1 − q)) of independent sigmoids, p being the unpruned model's.
struct BinaryDivergence: LossDefinition {
    var comparison: LossComparison { .unprunedOutputs }
    var selfConsistent: Loss? { .selfBinaryCrossEntropy }
    var spansClasses: Bool { false }
    var isDouble: Bool { true }

    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        let (base, other) = try (output.with(target).bernoulli, output.bernoulli)
        return try base.probability * (base.one - other.one)
            + base.probability.complement * (base.zero - other.zero)
    }

    func objection(to form: OutputForm, classes: Int, loss: String) -> String? {
        form == .values ? unknownScale(loss) : nil
    }

    func averageable(_ rows: LossOutput) throws -> LossOutput {
        switch rows.form {
        case .logProbabilities: try rows.with(exponential(.tensor(rows.tensor)), form: .probabilities)
        case .logits, .values: try rows.with(sigmoid(.tensor(rows.tensor)), form: .sigmoids)
        case .probabilities, .sigmoids: rows
        }
    }
}

/// Σ p log(p/q) over classes, p being the unpruned model's probabilities.
struct Divergence: LossDefinition {
    var comparison: LossComparison { .unprunedOutputs }
    var selfConsistent: Loss? { .klDivergence }
    var spansClasses: Bool { true }
    var isDouble: Bool { true }

    /// As Σ p (exp t − 1 − t) with t = log q − log p: the same where p and q sum to 1, never negative term by term, and
    /// exact to second order where rounding leaves the sums a little off 1.
    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        try output.tensor.requireDimension(of: "classes", for: "kl")
        let base = try output.with(target).logProbabilities
        let other = try output.logProbabilities
        let probabilities = try exponential(.tensor(base))
        let difference = try other - base
        let terms = try probabilities * (exponentialMinusOne(.tensor(difference)) - difference)
        // What has no probability at all adds the other's.
        let absent = try equals(.tensor(probabilities), .double(0))
        return try absent.choosing(exponential(.tensor(other)), else: terms)
            .summed(over: [output.classDimension])
    }

    func objection(to form: OutputForm, classes: Int, loss: String) -> String? {
        let instead = "self-bce (what kl is for sigmoids)"
        if form == .sigmoids { return independentSigmoids + instead + ", or say what it is with --output-is" }
        guard classes < 2 else { return nil }
        return "has one class, over which \(loss) is always 0: use --loss self-mse"
            + (form == .probabilities ? "" : ", or --loss \(instead) for the logit of a sigmoid")
    }

    func averageable(_ rows: LossOutput) throws -> LossOutput {
        rows.form == .probabilities
            ? rows : try rows.with(exponential(.tensor(rows.logProbabilities)), form: .probabilities)
    }
}

/// 1 − cos of the angle between two vectors of features.
struct Cosine: LossDefinition {
    let comparison: LossComparison

    var selfConsistent: Loss? { .selfCosine }
    var spansClasses: Bool { true }
    var isDouble: Bool { true }

    /// As half the squared distance of the unit vectors, which keeps its digits near 0; 1 where one of the vectors is 0,
    /// and 0 where both are.
    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        try output.tensor.requireDimension(of: "features", for: "cosine")
        let dimension = output.classDimension
        func unit(_ tensor: Tensor) throws -> (vector: Tensor, square: Tensor) {
            let length = try (tensor * tensor).summed(over: [dimension], keeping: true)
            let smallest = Double.leastNormalMagnitude
            let vector = try tensor / clampMinimum(.tensor(length), .double(smallest)).squareRooted()
            return (vector, try (vector * vector).summed(over: [dimension]))
        }
        let (left, right) = try (unit(output.tensor), unit(target))
        let difference = try left.vector - right.vector
        return try
            ((difference * difference).summed(over: [dimension])
            + (left.square - right.square).magnitudes()) * 0.5
    }
}

private let independentSigmoids =
    "holds independent sigmoids, which are no distribution over classes: use --loss "

private func unknownScale(_ loss: String) -> String {
    "does not look like sigmoids or their logits, which \(loss) compares: say what it is (--output-is sigmoids or "
        + "logits), or use --loss self-mse"
}

private let logSoftmax = Operation("aten::log_softmax.int")
private let gather = Operation("aten::gather")
private let negative = Operation("aten::neg")
private let exponential = Operation("aten::exp")
private let exponentialMinusOne = Operation("aten::expm1")
private let log = Operation("aten::log")
private let clampMinimum = Operation("aten::clamp_min")
private let logSigmoid = Operation("aten::log_sigmoid")
private let sigmoid = Operation("aten::sigmoid")
private let equals = Operation("aten::eq.Scalar")
private let oneHot = Operation("aten::one_hot")
