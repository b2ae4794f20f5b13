internal import ComputationGraph
internal import Training

/// What a training changes, element by element: the parameters' elements first, then the scales of convolutions into which a batch
/// normalisation was folded, layer by layer, then the running mean and variance of every layer that normalises by the batch.
struct TrainedLayout {
    /// In the order of their values.
    let parameters: [TrainableParameter]
    /// In the order of their vertices.
    let batchNorms: [BatchNorm]

    /// The parameters' values.
    var values: [Int] { parameters.map(\.value) }

    /// The numbers that a training learns; statistics are none.
    var trainedElements: Int {
        parts.reduce(0) { $1.isStatistic ? $0 : $0 + $1.count }
    }

    /// The tensors.
    var parts: [TrainedWeights.Part] {
        parameters.map { TrainedWeights.Part(count: $0.count, decays: $0.decays) }
            + folded.map { TrainedWeights.Part(count: $0.channels, decays: false) }
            + batchNorms.map { TrainedWeights.Part(count: 2 * $0.channels, decays: false, isStatistic: true) }
    }

    private var folded: [BatchNorm] {
        batchNorms.filter { if case .folded = $0.form { true } else { false } }
    }

    /// The file's parameters with these elements, by value: normalisations are folded into their convolutions again, and the others
    /// have the running statistics.
    func parameters(of elements: [Float]) -> [Int: [Float]] {
        var own: [Int: [Float]] = [:]
        var rest = elements[...]
        func take(_ count: Int) -> [Float] {
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        for parameter in parameters { own[parameter.value] = take(parameter.count) }
        let scales = Dictionary(uniqueKeysWithValues: folded.map { ($0.vertex, take($0.channels)) })
        for layer in batchNorms {
            let (mean, variance) = (take(layer.channels), take(layer.channels))
            switch layer.form {
            case .present(_, _, let meanValue, let varianceValue):
                (own[meanValue], own[varianceValue]) = (mean, variance)
            case .folded(let weight, let bias):
                guard let scale = scales[layer.vertex], let shift = own[bias] else { continue }
                let factors = zip(scale, variance).map { $0 / ($1 + Float(layer.epsilon)).squareRoot() }
                let size = (own[weight]?.count ?? 0) / layer.channels
                own[weight] = own[weight]?.enumerated().map { $1 * factors[$0 / size] }
                own[bias] = (0..<layer.channels).map { shift[$0] - mean[$0] * factors[$0] }
            }
        }
        return own
    }
}
