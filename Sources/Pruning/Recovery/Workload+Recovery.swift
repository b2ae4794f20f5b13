public import ComputationGraph
internal import Datasets
internal import Engine
internal import Training

extension Workload {
    /// What is measured of a mask: with the weights that the recovery makes.
    public func variant(_ mask: Mask) -> Variant { Variant(mask, recovery: options.recovery.recovery) }

    /// What is worth a line of a variant's recovery: that nothing could be refitted, or on too little.
    ///
    /// - Throws: `EngineError` that names the node that failed.
    public func recoveryWarnings(of variant: Variant) throws -> [String] {
        guard variant.weights == nil, let refit = try evaluator().refit(variant) else { return [] }
        guard !refit.layers.isEmpty || options.recovery.recovery.training != nil else {
            return ["no layer was refitted: behind what is removed there is none that gains by it"]
        }
        return refit.warnings(in: graph)
    }

    /// Takes a recovery into use that is fitted on these samples, which are none of the workload's own.
    mutating func recover(by recovery: Recovery, on samples: FitSamples?) {
        guard let samples, !recovery.isNone else { return }
        options.recovery.recovery = recovery
        fit = samples
        costs = CostModel(
            graph: graph, shapes: valueShapes,
            samples: min(graph.fixedSamples(dataset) ?? 1, dataset.samples),
            addsBiases: recovery.refitsLayers)
    }

    /// The workload of the model with a variant's weights; itself where they are the model's own.
    ///
    /// - Throws: `EngineError` that names the node that failed.
    func refitted(_ variant: Variant) throws -> Workload {
        let evaluator = try evaluator()
        if let weights = variant.weights {
            try evaluator.use(weights: weights) { try RecoveredWeights(storedWeights(weights)) }
        }
        guard let refit = try evaluator.refit(variant) else { return self }
        let layers = Dictionary(uniqueKeysWithValues: LinearMaps(of: graph).maps.map { ($0.vertex, $0) })
        let biases = try refit.biases.sorted { $0.key < $1.key }.compactMap { vertex, elements in
            layers[vertex].map { (layer: $0, elements: elements) }
        }
        return try replacing(refit.weights, biases: biases)
    }

    /// The workload of the model with other weights, node by node the same.
    ///
    /// - Parameters:
    ///   - weights: by value, the elements of initialisers in C order.
    ///   - biases: those of layers that have none.
    func replacing(_ weights: [Int: [Float]], biases: [(layer: LinearMap, elements: [Float])] = []) throws
        -> Workload
    {
        var workload = self
        workload.graph = try graph.refitted(weights, biases: biases)
        workload.network = try Network(workload.graph)
        workload.valueShapes = try workload.network.valueShapes(for: dataset, memory: options.memoryBudget)
        let (old, new) = (graph, workload.graph)
        let means = ValueMeans(
            Dictionary(
                means.means.compactMap { value, mean in
                    new.valueIndex[old.values[value].name].map { ($0, mean) }
                }, uniquingKeysWith: { first, _ in first }))
        workload.costs = CostModel(
            graph: new, shapes: workload.valueShapes,
            samples: min(new.fixedSamples(dataset) ?? 1, dataset.samples))
        if !means.means.isEmpty { workload.use(means) }
        return workload
    }
}
