public import ComputationGraph
public import Datasets

extension Network {
    /// The shapes of all values in a few runs with different sizes of the symbolic dimensions: what materialising
    /// learns from how shapes follow from the inputs'.
    ///
    /// Batches of real samples tell about the first dimension. Other symbolic dimensions are varied with made-up
    /// inputs, where the model runs on them. The first run is the one that costs are counted in: a single sample with the
    /// data's sizes, or as many as the model was exported for.
    ///
    /// - Throws: `EngineError` when the model does not run on the data.
    public func valueShapes(for dataset: Dataset) throws -> ValueShapes {
        if let fixed = graph.inputs.compactMap({ $0.shape.first ?? nil }).first {
            return ValueShapes(probes: [
                probe(try shapes(for: dataset, samples: Array(0..<min(fixed, dataset.samples))))
            ])
        }
        var probes: [ValueShapes.Probe] = []
        for size in [1, 2, 3] {
            // Repeating samples is fine: only shapes matter.
            probes.append(probe(try shapes(for: dataset, samples: (0..<size).map { $0 % dataset.samples })))
        }
        let symbols = Set(graph.inputs.flatMap { $0.symbols.dropFirst().compactMap { $0 } })
        guard !symbols.isEmpty, let first = probes.first else { return ValueShapes(probes: probes) }
        var sizes: [String: Int] = [:]
        for (port, shape) in zip(graph.inputs, first.inputShapes) {
            for (symbol, size) in zip(port.symbols, shape) { if let symbol { sizes[symbol] = size } }
        }
        for symbol in symbols.sorted() {
            // Twice and thrice the size for models that halve it, an odd size to tell chance from rule.
            for size in sizes[symbol].map({ [$0 * 2, $0 * 3, $0 * 2 + 1] }) ?? [] {
                var varied = sizes
                varied[symbol] = size
                let given = zip(graph.inputs, first.inputShapes).map { port, shape in
                    (
                        port.name,
                        zip(port.symbols, shape).map { symbol, size in symbol.flatMap { varied[$0] } ?? size }
                    )
                }
                if let found = try? shapes(given: Dictionary(uniqueKeysWithValues: given)) {
                    probes.append(probe(found))
                }
            }
        }
        return ValueShapes(probes: probes)
    }

    private func probe(_ shapes: Shapes) -> ValueShapes.Probe {
        ValueShapes.Probe(inputShapes: shapes.inputs, shapes: shapes.values)
    }
}
