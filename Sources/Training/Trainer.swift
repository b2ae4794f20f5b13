public import Work

/// Trains weights step by step, on whoever computes: one process or a cluster.
///
/// ```swift
/// var trainer = Trainer(subject, recipe, weights: weights, shards: shards)
/// while trainer.steps < recipe.steps { _ = try await trainer.step(on: runner) }
/// ```
///
/// After every step the weights are the same to the bit, whoever computed their gradient.
public struct Trainer: Sendable {
    /// What is trained.
    public let subject: TrainingSubject
    /// How.
    public let recipe: TrainingRecipe
    /// The weights after the steps so far.
    public private(set) var weights: TrainedWeights
    private var order: SampleOrder
    /// The weights of the last two steps, which workers may still be fetching.
    private var provided: [ContentID] = []

    /// What a step told.
    public struct Step: Hashable, Sendable {
        /// The mean loss of its samples, before the step.
        public let loss: Double
        /// The learning rate.
        public let rate: Double
        /// The L2 norm of the gradient, before it was shortened.
        public let gradientNorm: Double
    }

    /// - Parameter shards: by shard, the samples that take part.
    public init(
        _ subject: TrainingSubject, _ recipe: TrainingRecipe, weights: TrainedWeights, shards: [[Int]]
    ) {
        (self.subject, self.recipe, self.weights) = (subject, recipe, weights)
        order = SampleOrder(
            shards: shards, batch: recipe.batch, microBatch: recipe.microBatch,
            seed: recipe.objective.seed)
    }

    /// Steps that were taken.
    public var steps: Int { weights.steps }
    /// Steps that use every sample once, rounded up.
    public var stepsPerEpoch: Int { order.stepsPerEpoch }

    /// Takes up a checkpoint.
    ///
    /// - Throws: `WorkMismatch` for one of other weights.
    public mutating func restore(_ checkpoint: [UInt8]) throws(WorkMismatch) {
        try weights.restore(checkpoint)
    }

    /// Takes a step.
    ///
    /// - Throws: `TrainingDivergence` when loss or gradient are no numbers; the weights stay as they were. What the runner
    ///   throws.
    public mutating func step(on runner: any WorkRunner) async throws -> Step {
        let content = try await runner.provide(weights.content)
        provided.append(content)
        if provided.count > 2 { await runner.withdraw(provided.removeFirst()) }
        let source = try await runner.run(
            GradientSource(
                subject, weights: content, step: steps, microBatches: order.microBatches(of: steps)))
        return try take(source.total)
    }

    /// Follows a gradient.
    private mutating func take(_ sum: GradientSum) throws(TrainingDivergence) -> Step {
        let rate = recipe.rate(at: steps)
        let gradient = sum.mean
        guard sum.loss.isFinite, gradient.allSatisfy(\.isFinite) else {
            throw TrainingDivergence(step: steps, rate: rate)
        }
        var next = weights
        let norm = next.step(gradient, by: recipe)
        guard next.elements.allSatisfy(\.isFinite) else {
            throw TrainingDivergence(step: steps, rate: rate)
        }
        weights = next
        return Step(loss: sum.loss / sum.weight, rate: rate, gradientNorm: norm)
    }
}

/// A training whose numbers grew without bounds.
public struct TrainingDivergence: Error, Hashable, Sendable, CustomStringConvertible {
    /// The step, counted from 0.
    public let step: Int
    /// Its learning rate.
    public let rate: Double

    /// The error as a sentence.
    public var description: String {
        "the training diverges: after \(step) steps, at the rate \(rate), loss or weights are no numbers; take a smaller "
            + "--rate, a longer --warmup or --clip"
    }
}
