internal import ComputationGraph
internal import Torch

extension GateEvaluator {
    /// The information that passes each edge, in nats per sample, from one forward pass without labels or gradients.
    ///
    /// It is the coding rate R(Z, ε) = ½ log det(I + ZᵀZ / (n ε² σ²)) of the values Z on the edge, one row of
    /// elements per sample: how many nats per sample it takes to tell them apart up to a distortion of ε² σ² per
    /// element (Ma, Derksen, Hong and Wright, "Segmentation of multivariate mixed data via lossy data coding and
    /// compression", 2007, section 3; Yu et al., "Learning diverse and discriminative representations via the
    /// principle of maximal coding rate reduction", 2020, equation 1, with their ε = ½). σ² is the mean square of all
    /// activations that enter the same vertex, summed: what the edge has to be heard against. An edge that carries
    /// little of what its vertex reads, or the same for every sample, scores low.
    ///
    /// - Returns: one rate per edge; `nil` where values are not finite. n is the block's size, so rates of blocks of
    ///   different sizes are not to be compared.
    public func codingRates(samples: [Int]) throws -> [Double?] {
        let inputs = try inputs(samples)
        let graph = network.graph
        let wanted = Dictionary(grouping: edges.indices, by: { edges[$0].node })
        var rates = [Double?](repeating: nil, count: edges.count)
        var activations = try activations(of: inputs)
        try activations.compute(
            terms.outputs, mask: state,
            recording: Activations.Recording(gates: Gates()) { [self] step, values in
                guard let positions = wanted[step.vertex] else { return }
                var energy = 0.0
                for (value, tensor) in zip(step.plain.inputs, values) {
                    guard let value, let tensor, graph.values[value].dependsOnData,
                        tensor.scalarType.isFloatingPoint
                    else { continue }
                    energy += try meanSquare(tensor)
                }
                for position in positions {
                    let slot = edges[position].slot
                    guard let value = step.plain.inputs[slot], let tensor = values[slot], energy.isFinite
                    else {
                        continue
                    }
                    let rows = try axes.rows(of: tensor, value: value, samples: samples.count)
                    rates[position] = energy == 0 ? 0 : try codingRate(rows, distortion: 0.25 * energy)
                }
            })
        return rates
    }

    private func meanSquare(_ tensor: Tensor) throws -> Double {
        let wide = try tensor.converted(to: .float64)
        return try (wide * wide).averaged(over: Array(0..<tensor.rank)).item(as: Double.self)
    }

    /// ½ log det(I + Z Zᵀ / (n · distortion)) of rows Z, [n, d].
    private func codingRate(_ rows: Tensor, distortion: Double) throws -> Double? {
        let wide = try rows.converted(to: .float64)
        let gram = try wide.matrixProduct(wide.transposed(0, 1)) * (1 / (Double(rows.shape[0]) * distortion))
        let unit = try identity(.int(rows.shape[0]), .type(.float64))
        let rate = try logDeterminant(.tensor(gram + unit)).item(as: Double.self) / 2
        return rate.isFinite ? rate : nil
    }
}

private let identity = Operation("aten::eye")
private let logDeterminant = Operation("aten::logdet")
