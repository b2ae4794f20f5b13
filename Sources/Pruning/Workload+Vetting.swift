internal import ComputationGraph
internal import Datasets
internal import Engine

extension Workload {
    /// The samples that tell whether a model still listens to its inputs.
    private static let vettedSamples = 8

    /// Tells of masks whether every output still differs between samples: what no rule of the graph shows, numbers may.
    ///
    /// - Returns: a function that is `false` for a mask that makes an output the same, to a millionth of its size, for a few
    ///   samples between which the unpruned model's differs.
    func vetting() throws -> (Mask) throws -> Bool {
        let count = min(Workload.vettedSamples, dataset.samples)
        let fixed = graph.fixedSamples(dataset) ?? 1
        guard fixed == 1, count > 1 else { return { _ in true } }
        let means = try meanArrays
        func outputs(_ mask: Mask) throws -> [[[Float]]] {
            try (0..<count).map { sample in
                var inputs: [String: NumpyArray] = [:]
                for port in graph.inputs { inputs[port.name] = try dataset.gather([sample], from: port.name) }
                return try network.run(inputs, mask: mask, means: means).map {
                    $0.1.elementType.isFloatingPoint ? try $0.1.floats() : []
                }
            }
        }
        func differs(_ rows: [[[Float]]], output: Int) -> Bool {
            guard let first = rows.first?[output] else { return false }
            return rows.dropFirst().contains { row in
                row[output].count != first.count
                    || zip(row[output], first).contains {
                        ($0 - $1).magnitude > 1e-6 * max($0.magnitude, $1.magnitude)
                    }
            }
        }
        let unpruned = try outputs(.empty)
        let varying = (unpruned.first ?? []).indices.filter { differs(unpruned, output: $0) }
        return { mask in
            let rows = try outputs(mask)
            return varying.allSatisfy { differs(rows, output: $0) }
        }
    }
}
