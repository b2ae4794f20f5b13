public import ComputationGraph
internal import Torch
internal import Training

private let batchNorm = Operation("aten::batch_norm")

/// The layers of a training that normalise by the batch, with the statistics of the pass in work.
///
/// Among a training's elements stand, after all others, the scales of convolutions that folded a normalisation, layer by layer, and
/// then the running mean and variance of every layer.
final class BatchNormalisation {
    /// In the order of their vertices.
    let layers: [BatchNorm]
    /// By vertex, the scales of convolutions that folded a normalisation.
    private var scales: [Int: Tensor] = [:]
    /// By vertex, mean and variance of the micro-batch, [C] each.
    private var statistics: [Int: (mean: Tensor, variance: Tensor)] = [:]

    init(_ layers: [BatchNorm]) { self.layers = layers }

    /// How many elements it has among a training's: scales, and statistics.
    var elements: Int { layers.reduce(0) { $0 + $1.trainedElements + 2 * $1.channels } }

    /// Takes the scales of a training's elements into use, which require gradients.
    ///
    /// - Parameter own: the last elements of the training's.
    /// - Returns: the scales, to differentiate with respect to.
    func use(_ own: ArraySlice<Float>) throws -> [Tensor] {
        var start = own.startIndex
        var leaves: [Tensor] = []
        for layer in layers where layer.trainedElements > 0 {
            let scale = try Tensor(Array(own[start..<start + layer.channels]))
            try scale.requireGradient()
            scales[layer.vertex] = scale
            leaves.append(scale)
            start += layer.channels
        }
        return leaves
    }

    /// The layers' kernels in the place of the file's.
    ///
    /// - Parameter own: the vertex's kernel; one without a normalisation is left as it is.
    func kernel(of vertex: Int, over own: @escaping Kernel) -> Kernel {
        guard let layer = layers.first(where: { $0.vertex == vertex }) else { return own }
        return { [self] inputs in
            switch layer.form {
            case .present:
                guard let input = inputs[0], let scale = inputs[1], let shift = inputs[2] else {
                    return try own(inputs)
                }
                return [try normalised(input, layer, scale, shift, offset: nil)]
            case .folded:
                guard let output = try own(inputs)[0], let shift = inputs[2], let scale = scales[vertex]
                else { return try own(inputs) }
                return [try normalised(output, layer, scale, shift, offset: shift)]
            }
        }
    }

    /// A batch normalised, as PyTorch's layer does it in training.
    ///
    /// - Parameter offset: what is taken off the mean: the bias that the convolution adds before.
    private func normalised(
        _ tensor: Tensor, _ layer: BatchNorm, _ scale: Tensor, _ shift: Tensor, offset: Tensor?
    ) throws -> Tensor {
        guard tensor.count > layer.channels else {
            throw EngineError.data(
                "a batch normalisation needs more than one number per channel: micro-batches are too small")
        }
        let mean = try Tensor.filled(0, shape: [layer.channels], type: .float32)
        let variance = try Tensor.filled(0, shape: [layer.channels], type: .float32)
        // With a momentum of 1 the running statistics are those of the batch.
        let result = try batchNorm(
            .tensor(tensor), .tensor(scale), .tensor(shift), .tensor(mean), .tensor(variance), .bool(true),
            1.0, .double(layer.epsilon), false)
        statistics[layer.vertex] = (try offset.map { try mean - $0.detached() } ?? mean, variance)
        return result
    }

    /// The statistics of the pass in work, layer by layer, each times a weight.
    func takeStatistics(times weight: Double) throws -> [Float] {
        defer { statistics = [:] }
        return try layers.flatMap { layer -> [Float] in
            guard let own = statistics[layer.vertex] else {
                return [Float](repeating: 0, count: 2 * layer.channels)
            }
            return try (own.mean.elements() + own.variance.elements()).map { $0 * Float(weight) }
        }
    }
}

extension BatchNorm {
    /// How many elements a training has for it beside the parameters of the file, statistics not counted.
    var trainedElements: Int { if case .folded = form { channels } else { 0 } }
}

extension Evaluator {
    /// What a training by batch statistics begins with beside the file's parameters, so that the function is that of the file on
    /// these samples: scales, and running means and variances.
    ///
    /// - Parameters:
    ///   - layers: in the order of their vertices.
    ///   - samples: indices into the data set, by block.
    /// - Returns: the elements in the order of `BatchNormalisation`, and by value the biases that are shifts now.
    /// - Throws: `EngineError` that names the node that failed.
    public func batchNormStart(_ layers: [BatchNorm], mask: Mask, samples: [[Int]]) throws -> (
        elements: [Float], shifts: [Int: [Float]]
    ) {
        try prepare(for: [mask])
        var moments: [Int: ChannelMoments] = [:]
        let wanted = Set(outputs)
        for block in samples {
            let inputs = try network.inputs(block, of: dataset)
            let model = try network.specialisation(for: inputs)
            var activations = Activations(model, inputs: inputs, means: means)
            let schedule = Schedule(
                model, mask: network.classes.canonical(mask), wanted: outputs, isFused: false)
            var recording = Activations.Recording()
            recording.after = { step, results in
                guard let layer = layers.first(where: { $0.vertex == step.vertex }),
                    layer.trainedElements > 0,
                    let output = results[0]
                else { return }
                try moments[layer.vertex, default: ChannelMoments(layer.channels)].add(output)
            }
            try activations.compute(schedule, keeping: wanted.contains, recording: recording)
        }
        var (scales, statistics): ([Float], [Float]) = ([], [])
        var shifts: [Int: [Float]] = [:]
        for layer in layers {
            switch layer.form {
            case .present(_, _, let mean, let variance):
                statistics += try network.elements(of: [mean, variance])
            case .folded(_, let bias):
                guard let own = moments[layer.vertex] else {
                    throw EngineError.data(
                        "the layer '\(graph.vertices[layer.vertex].name)' was not computed")
                }
                let offset = try network.elements(of: [bias])
                let variance = own.variance.map(Float.init)
                scales += variance.map { ($0 + Float(layer.epsilon)).squareRoot() }
                shifts[bias] = own.mean.map(Float.init)
                statistics += zip(own.mean, offset).map { Float($0 - Double($1)) } + variance
            }
        }
        return (scales + statistics, shifts)
    }
}

/// Means and variances of channels, over samples and positions.
private struct ChannelMoments {
    private var sums: [Double]
    private var squares: [Double]
    private var count = 0

    init(_ channels: Int) {
        (sums, squares) = ([Double](repeating: 0, count: channels), [Double](repeating: 0, count: channels))
    }

    /// Takes in a tensor (N, C, …).
    mutating func add(_ tensor: Tensor) throws {
        let wide = try tensor.converted(to: .float64)
        let others = (0..<tensor.rank).filter { $0 != 1 }
        let (own, square) = (try wide.summed(over: others), try (wide * wide).summed(over: others))
        for (index, value) in try own.elements(as: Double.self).enumerated() { sums[index] += value }
        for (index, value) in try square.elements(as: Double.self).enumerated() { squares[index] += value }
        count += tensor.count / sums.count
    }

    var mean: [Double] { sums.map { $0 / Double(count) } }

    /// Without bias, as running variances are.
    var variance: [Double] {
        zip(sums, squares).map { sum, square in
            max(0, square - sum * sum / Double(count)) / Double(max(1, count - 1))
        }
    }
}
