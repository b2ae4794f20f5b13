internal import ComputationGraph
public import Datasets
internal import Foundation
internal import Torch

/// What a model that gives the same output for every sample would lose: the scale on which a loss is small or large.
///
/// For cross-entropy it is the entropy of the labels, for the squared error the variance of the targets, for a loss that
/// compares with the unpruned model that of its mean output.
public struct ConstantPredictor {
    private let network: Network
    private let dataset: Dataset
    private let blockSize: Int
    private let weights: [Float]
    /// The most samples whose outputs are computed.
    private let limit: Int

    /// The bytes that the outputs of all samples may take.
    private static let mostBytes = 256 << 20

    /// - Parameters:
    ///   - blockSize: samples that are computed at once.
    ///   - weights: one for each sample.
    ///   - limit: the most samples whose outputs are computed; they are spread evenly over the data.
    public init(_ network: Network, dataset: Dataset, blockSize: Int, weights: [Float], limit: Int) {
        self.network = network
        self.dataset = dataset
        self.blockSize = blockSize
        self.weights = weights
        self.limit = limit
    }

    /// The loss of a constant output, term by term and without its factor; `nil` where there is none that is a finite
    /// number.
    ///
    /// - Throws: `EngineError` when the model does not run on the data.
    public func losses(_ description: LossDescription) throws -> [Double?] {
        let terms = try LossTerms(description, graph: network.graph, dataset: dataset)
        var outputs: [(tensors: [Tensor], samples: Int)] = []
        var samples: [Int] = []
        if description.needsReference { (outputs, samples) = try unprunedOutputs(terms) }
        return try terms.functions.enumerated().map { index, function in
            let loss: Double?
            switch function.definition.comparison {
            case .labels:
                loss = try description.labels(of: function.term, in: dataset)
                    .flatMap { try self.loss(of: function, for: $0) }
            case .unprunedOutputs:
                loss = try self.loss(
                    of: function,
                    in: Tensor.concatenated(
                        outputs.map { try function.samplesFirst($0.tensors[index], samples: $0.samples) },
                        along: 0),
                    samples, counts: terms.counts(samples))
            case .targets, .targetsOrLabels:
                loss = try targetLoss(terms, index)
            }
            return loss.flatMap { $0.isFinite ? max(0, $0) : nil }
        }
    }

    /// The outputs of blocks, by term, and how many samples each has; and which these are.
    private func unprunedOutputs(_ terms: LossTerms) throws -> (
        [(tensors: [Tensor], samples: Int)], [Int]
    ) {
        var outputs: [(tensors: [Tensor], samples: Int)] = []
        var samples: [Int] = []
        var bytes = 0
        let blocks = try Sharding(samples: dataset.samples, shards: 1, blockSize: blockSize).naturalBlocks(
            of: 0)
        let wanted = min(blocks.count, max(1, (limit + blockSize - 1) / blockSize))
        for number in 0..<wanted {
            let block = Array(blocks[number * blocks.count / wanted])
            let found = try network.values(
                terms.outputs, of: network.inputs(block, of: dataset), mask: .empty)
            bytes += found.reduce(0) { $0 + 3 * $1.byteCount }
            if bytes > ConstantPredictor.mostBytes && !outputs.isEmpty { break }
            outputs.append((found, block.count))
            samples += block
        }
        return (outputs, samples)
    }

    /// The loss of the mean of `rows`, [N, …], on each of them.
    private func loss(of function: LossFunction, in rows: Tensor, _ samples: [Int], counts: Tensor?) throws
        -> Double?
    {
        guard !samples.isEmpty, rows.rank >= 1, rows.shape[0] == samples.count else { return nil }
        let averaged = try function.definition.averageable(function.read(rows.converted(to: .float64)))
        let target = averaged.tensor
        var term = function.term
        (term.sampleAxis, term.form, term.part) = (0, averaged.form, nil)
        let plain = LossFunction(term: term)
        let shares = try Tensor(samples.map { Double(weights[$0]) }).alongDimension(0, rank: target.rank)
        var weight = try shares.expanded(target.shape)
        if let counts, plain.applies(counts, to: target) {
            let shape = counts.shape + [Int](repeating: 1, count: target.rank - 2)
            weight = try weight * counts.reshaped(shape)
        }
        let total = try weight.summed(over: [0], keeping: true)
        let mean =
            try (target * weight).summed(over: [0], keeping: true)
            / clampMinimum(.tensor(total), .double(.leastNormalMagnitude))
        let losses: [Double] = try plain.losses(
            mean.expanded(target.shape), against: .tensor(target), counts: counts, samples: samples.count
        ).elements()
        return average(losses, samples)
    }

    private func average(_ losses: [Double], _ samples: [Int]) -> Double? {
        let total = samples.reduce(0) { $0 + Double(weights[$1]) }
        guard total > 0 else { return nil }
        return zip(losses, samples).reduce(0) { $0 + $1.0 * Double(weights[$1.1]) } / total
    }

    private func targetLoss(_ terms: LossTerms, _ index: Int) throws -> Double? {
        let function = terms.functions[index]
        guard let name = function.term.array, let array = dataset.arrays[name] else { return nil }
        // Double precision, and as much again for the mean and the losses.
        let most = max(blockSize, ConstantPredictor.mostBytes / max(1, 24 * array.rowElementCount))
        let count = min(dataset.samples, most)
        let samples = (0..<count).map { $0 * dataset.samples / count }
        switch try terms.reference(index, samples) {
        case .tensor(let targets):
            return try loss(of: function, in: targets, samples, counts: terms.counts(samples))
        case .flags(let labels, let positions):
            // Labels that are class numbers become flags of the outputs' shape, which one sample tells.
            let one = try network.values(
                terms.outputs, of: network.inputs(blockOfFirst, of: dataset), mask: .empty)[index]
            let shape =
                try [count] + function.samplesFirst(one, samples: blockOfFirst.count).shape.dropFirst()
            let targets = try function.flags(labels, positions: positions, shape: shape)
            return try loss(of: function, in: targets, samples, counts: terms.counts(samples))
        case .labels, nil: return nil
        }
    }

    private var blockOfFirst: [Int] {
        (0..<(network.graph.fixedSamples(dataset) ?? 1)).map { $0 % dataset.samples }
    }

    /// The loss of the labels' frequencies, each label with its sample's weight: for cross-entropy their entropy.
    private func loss(of function: LossFunction, for labels: Labels) throws -> Double? {
        var counts: [Int64: Double] = [:]
        for sample in 0..<dataset.samples {
            for label in labels.counted(sample) { counts[label, default: 0] += Double(weights[sample]) }
        }
        let total = counts.values.reduce(0, +)
        guard total > 0 else { return nil }
        let shares = counts.sorted { $0.key < $1.key }.map { $0.value / total }.filter { $0 > 0 }
        // One row of logarithms, read for one label after the other.
        let count = shares.count
        let output = LossOutput(
            tensor: try Tensor(shares.map { Foundation.log($0) }, shape: [1, count, 1])
                .expanded([count, count, 1]), form: .logProbabilities, classDimension: 1)
        let each: [Double] = try function.definition.term(
            output, Tensor((0..<count).map { Int64($0) }, shape: [count, 1, 1])
        ).elements()
        return zip(shares, each).reduce(0) { $0 + $1.0 * $1.1 }
    }
}

private let clampMinimum = Operation("aten::clamp_min")
