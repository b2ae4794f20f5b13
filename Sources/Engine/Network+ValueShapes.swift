public import ComputationGraph
public import Datasets
internal import Torch

extension Network {
    /// What runs at different sizes of the symbolic dimensions tell.
    public struct SizeKnowledge: Sendable {
        /// The shapes of all values, for materialising.
        public let shapes: ValueShapes
        /// The same as if no run had varied a dimension: nothing follows from what the runs have in common.
        public let cautiousShapes: ValueShapes
        /// A few samples of every input, in the order of the inputs.
        public let arrays: [NumpyArray]
        /// Symbolic dimensions that could not be varied, in words.
        public let unvaried: [String]
    }

    /// The shapes of all values in a few runs with different sizes of the symbolic dimensions: what materialising
    /// learns from how shapes follow from the inputs'.
    ///
    /// Runs on real samples, cut off or repeated. Dimensions that change only together are found by trying. The first run
    /// is the one that costs are counted in: a single sample with the data's sizes, or as many as the model was exported
    /// for.
    ///
    /// - Parameter memory: bytes that the process may take.
    /// - Throws: `EngineError` when the model does not run on the data.
    public func valueShapes(for dataset: Dataset, memory: Int = .max) throws -> ValueShapes {
        try sizeKnowledge(for: dataset, memory: memory).shapes
    }

    /// Lets slices be followed through the model, at the sizes of a single sample, or of as many as the model was exported for.
    ///
    /// - Throws: `EngineError` when the model does not run on the data.
    public func learnSizes(from dataset: Dataset) throws {
        guard !graph.knowsSizes else { return }
        let samples = min(graph.fixedSamples(dataset) ?? 1, dataset.samples)
        graph.followSlices(at: try shapes(for: dataset, samples: Array(0..<samples)).values)
    }

    /// The shapes of all values, and where the model runs. What is known already is not looked for again.
    ///
    /// - Parameter memory: bytes that the process may take.
    /// - Throws: `EngineError` when the model does not run on the data.
    public func sizeKnowledge(for dataset: Dataset, memory: Int = .max) throws -> SizeKnowledge {
        let arrays = try probeArrays(of: dataset)
        let key = arrays.map(\.shape)
        if let known = knownSizes[key] { return known }
        let samples = min(graph.fixedSamples(dataset) ?? 1, dataset.samples)
        let counted = try shapes(for: dataset, samples: Array(0..<samples))
        if !graph.knowsSizes { graph.followSlices(at: counted.values) }
        // Sizes whose values would not fit are not tried, but for one step beyond the data's own.
        let elements = arrays.reduce(0) { $0 + $1.count }
        let fitting = max(0, memory - 2 * weightBytes) / max(1, 2 * counted.activationBytes)
        let own = counted.inputs.reduce(0) { $0 + $1.reduce(1, *) }
        let limit = min(
            max(elements * 8, 1 << 16), max(elements * 3, fitting > 1 << 20 ? elements * 8 : own * fitting))
        var probing = SizeProbing(graph, arrays: arrays, limit: limit) { [unowned self] inputs in
            defer { releaseFreeMemory() }
            return try unkeptProgram(for: inputs).shapes
        }
        try probing.search()
        let unvaried = probing.unvaried
        var probes = probing.probes
        if probes.first?.inputShapes != counted.inputs {
            probes.insert(ValueShapes.Probe(inputShapes: counted.inputs, shapes: counted.values), at: 0)
        }
        let known = SizeKnowledge(
            shapes: ValueShapes(of: graph, probes: probes, unvaried: unvaried),
            cautiousShapes: ValueShapes(of: graph, probes: probes, unvaried: probing.symbolic),
            arrays: arrays,
            unvaried: unvaried.compactMap(\.first).map { axis in
                let port = graph.inputs[axis.input]
                let symbol = port.symbols[axis.axis].map { " ('\($0)')" } ?? ""
                return "dimension \(axis.axis)\(symbol) of input '\(port.name)'"
            })
        knownSizes[key] = known
        sizeProbings[key] = probing
        return known
    }

    /// Gives pages that are free back to the system: blocks of other sizes leave gaps that no later ones fit into.
    public func releaseFreeMemory() { TorchRuntime.releaseFreedMemory() }

    /// Input shapes other than the data's to check files at: one sample, smaller and larger sizes. Each comes with what to
    /// try where the model does not run at it.
    ///
    /// - Throws: `EngineError` when the model does not run on the data.
    public func sizeTrials(for dataset: Dataset) throws -> [[[[Int]]]] {
        let key = try sizeKnowledge(for: dataset).arrays.map(\.shape)
        return sizeProbings[key]?.trials() ?? []
    }

    /// The shapes of all values in two runs that differ in nothing but the number of samples; in one run where the model
    /// fixes that.
    ///
    /// - Throws: `EngineError` when the model does not run on the data.
    func batchShapes(for dataset: Dataset) throws -> [Shapes] {
        let sizes = graph.fixedSamples(dataset).map { [min($0, dataset.samples)] } ?? [2, 3]
        return try sizes.map { size in
            // Repeating samples is fine: only shapes matter.
            try shapes(for: dataset, samples: (0..<size).map { $0 % dataset.samples })
        }
    }

    /// A few samples of every input.
    private func probeArrays(of dataset: Dataset) throws -> [NumpyArray] {
        let size: Int
        if let fixed = graph.fixedSamples(dataset) {
            size = min(fixed, dataset.samples)
        } else {
            // A number that no other dimension has, so that what is the batch can be told from what is equal by chance.
            let others = Set(graph.inputs.flatMap { dataset.arrays[$0.name]?.shape.dropFirst() ?? [] })
            size = [2, 3, 5, 7].first { !others.contains($0) } ?? 2
        }
        return try graph.inputs.map {
            try dataset.gather((0..<size).map { $0 % dataset.samples }, from: $0.name)
        }
    }
}
