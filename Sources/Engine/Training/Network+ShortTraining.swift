internal import ComputationGraph
internal import Datasets
internal import Torch
internal import Training

extension TrainingRecipe {
    /// The recipe of a short training.
    init(_ short: ShortTraining, distills: Bool) {
        self.init(
            optimizer: .usualAdamW, rate: short.rate, schedule: .cosine, warmup: short.steps / 10,
            steps: short.steps, batch: short.batch, microBatch: short.microBatch, weightDecay: 0.01, clip: 1,
            objective: TrainingObjective(
                distillation: distills ? short.distillation : 1, temperature: short.temperature,
                seed: short.seed))
    }
}

extension Network {
    /// The weights of a mask after a short training, as a pure function of mask, data and training.
    ///
    /// A training whose numbers grow without bounds ends with the last weights that are numbers: its loss tells.
    ///
    /// - Parameters:
    ///   - start: what the weights are before; the model's own where it is `nil`.
    /// - Throws: `EngineError` that names the node that failed or has no derivative.
    func trained(
        _ mask: Mask, by training: ShortTraining, on data: FitData, _ loss: LossDescription, means: Means,
        from start: Refit?
    ) throws -> Refit {
        let chosen = try graph.trainableParameters(under: mask)
        let before = start?.parameters ?? parameters
        let values = chosen.map(\.value)
        let biases = before.addedBiases.sorted { $0.key < $1.key }.map(\.value.flat)
        let elements = try (values.compactMap { before[$0] } + biases).flatMap {
            try $0.elements(as: Float.self)
        }
        let parts =
            chosen.map { TrainedWeights.Part(count: $0.count, decays: $0.decays) }
            + biases.map { TrainedWeights.Part(count: $0.count, decays: false) }
        let recipe = TrainingRecipe(training, distills: !loss.needsReference)
        let pass = try GradientPass(
            TrainingSubject(
                mask: mask, values: values, elements: elements.count, objective: recipe.objective), self,
            data.dataset, loss, means: means, base: before)
        let weights = try loss.weights(for: data.dataset)
        var order = SampleOrder(
            shards: [weights.indices.filter { weights[$0] > 0 }], batch: recipe.batch,
            microBatch: graph.fixedSamples(data.dataset) ?? min(recipe.microBatch, recipe.batch),
            seed: recipe.objective.seed)
        var trained = TrainedWeights(elements, parts: parts, optimizer: recipe.optimizer)
        for step in 0..<recipe.steps {
            try pass.use([UInt8](withUnsafeBytes(of: step.littleEndian, Array.init))) { trained.elements }
            let sum = GradientSum.inTree(
                try order.microBatches(of: step).map {
                    try pass.sum(places: $0.samples, samples: $0.samples, step: step)
                })
            let gradient = sum.mean
            guard sum.loss.isFinite, gradient.allSatisfy(\.isFinite) else { break }
            var next = trained
            _ = next.step(gradient, by: recipe)
            guard next.elements.allSatisfy(\.isFinite) else { break }
            trained = next
        }
        let parameters = try pass.parameters(of: trained.elements)
        return Refit(
            parameters: parameters,
            changed: Dictionary(
                uniqueKeysWithValues: values.compactMap { value in parameters[value].map { (value, $0) } }
            )
            .merging(start?.changed ?? [:]) { own, _ in own },
            addedBiases: parameters.addedBiases, layers: start?.layers ?? [])
    }
}
