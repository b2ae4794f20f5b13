/// How a model is trained: everything besides model, mask, data and starting weights that decides what comes out.
///
/// The defaults follow the literature on retraining pruned networks: a large rate that is warmed up and falls to 0 beats a
/// small constant one (Renda, Frankle, Carbin: Comparing rewinding and fine-tuning in neural network pruning, 2020; Le, Hua:
/// Network pruning that matters, 2021).
public struct TrainingRecipe: Hashable, Sendable, Codable {
    /// How weights follow from gradients.
    public var optimizer: Optimizer
    /// The largest learning rate, after the warm-up.
    public var rate: Double
    /// How the rate falls after the warm-up.
    public var schedule: RateSchedule
    /// Steps over which the rate rises from 0.
    public var warmup: Int
    /// Steps of the whole training.
    public var steps: Int
    /// Samples whose gradients make a step.
    public var batch: Int
    /// Samples that are computed together: it decides how sums are rounded, and how much memory a pass takes.
    public var microBatch: Int
    /// The share of a weight that a step of rate 1 takes away; none of biases and norms.
    public var weightDecay: Double
    /// The largest L2 norm of the gradient of all weights together; longer ones are shortened to it. `nil` for any.
    public var clip: Double?
    /// What is minimised.
    public var objective: TrainingObjective

    /// A recipe.
    public init(
        optimizer: Optimizer = .sgd(momentum: 0.9), rate: Double, schedule: RateSchedule = .cosine,
        warmup: Int = 0, steps: Int, batch: Int = 64, microBatch: Int = 16, weightDecay: Double = 0,
        clip: Double? = nil, objective: TrainingObjective = TrainingObjective()
    ) {
        (self.optimizer, self.rate, self.schedule) = (optimizer, rate, schedule)
        (self.warmup, self.steps, self.batch, self.microBatch) = (warmup, steps, batch, microBatch)
        (self.weightDecay, self.clip, self.objective) = (weightDecay, clip, objective)
    }

    /// The rate of a step, counted from 0.
    public func rate(at step: Int) -> Double {
        guard step >= warmup else { return rate * Double(step + 1) / Double(warmup) }
        let share = Double(step - warmup) / Double(max(1, steps - warmup))
        return rate * schedule.factor(at: share)
    }
}

/// How a learning rate falls from its largest value.
public enum RateSchedule: String, Hashable, Sendable, Codable, CaseIterable {
    /// Half a cosine down to 0 (Loshchilov, Hutter: SGDR, 2017).
    case cosine
    /// In a straight line down to 0.
    case linear
    /// Not at all.
    case constant

    /// What the largest rate is multiplied by.
    ///
    /// - Parameter share: how much of the training is over, from 0 to 1.
    func factor(at share: Double) -> Double {
        switch self {
        case .cosine: 0.5 * (1 + Cosine.ofPi(share))
        case .linear: 1 - share
        case .constant: 1
        }
    }
}

/// How weights follow from gradients. Both are as PyTorch's optimisers of these names define them.
public enum Optimizer: Hashable, Sendable, Codable {
    /// Stochastic gradient descent: v ← μ v + g + λ w, w ← w − η v.
    case sgd(momentum: Double)
    /// Adam with decoupled weight decay (Loshchilov, Hutter: Decoupled weight decay regularization, 2019).
    case adamw(beta1: Double, beta2: Double, epsilon: Double)

    /// AdamW with the usual numbers.
    public static let usualAdamW = Optimizer.adamw(beta1: 0.9, beta2: 0.999, epsilon: 1e-8)

    /// `sgd` or `adamw`.
    public var name: String {
        switch self {
        case .sgd: "sgd"
        case .adamw: "adamw"
        }
    }
}

/// What training minimises, and on which form of the samples.
public struct TrainingObjective: Hashable, Sendable, Codable {
    /// The share of the loss that the teacher's outputs make up, 0 to 1; the search's loss makes up the rest.
    public var distillation: Double
    /// What logits are divided by before the teacher's are compared with them (Hinton, Vinyals, Dean: Distilling the knowledge
    /// in a neural network, 2015).
    public var temperature: Double
    /// Whether half of the images are mirrored, left to right.
    public var flips: Bool
    /// By how many pixels images are moved at most, up, down, left and right; what comes in is 0.
    public var shift: Int
    /// Decides the order of the samples and what is done to images.
    public var seed: UInt64

    /// The search's loss on the samples as they are, unless told otherwise.
    public init(
        distillation: Double = 0, temperature: Double = 2, flips: Bool = false, shift: Int = 0,
        seed: UInt64 = 0
    ) {
        (self.distillation, self.temperature) = (distillation, temperature)
        (self.flips, self.shift, self.seed) = (flips, shift, seed)
    }

    /// Whether images are changed.
    public var augments: Bool { flips || shift > 0 }
}

/// The cosine by its series, so that every machine has the same bits: C libraries differ in the last one.
private enum Cosine {
    /// cos(π x) for x from 0 to 1.
    static func ofPi(_ x: Double) -> Double {
        // cos(π x) = −cos(π (1 − x)), and the series is short for small arguments.
        guard x <= 0.5 else { return -ofPi(1 - x) }
        let square = (Double.pi * x) * (Double.pi * x)
        var (term, sum) = (1.0, 1.0)
        for order in stride(from: 2.0, through: 24, by: 2) {
            term *= -square / (order * (order - 1))
            sum += term
        }
        return sum
    }
}
