internal import ComputationGraph
public import Datasets
internal import Torch

/// A loss made ready for a data set: the terms with what they read of it.
struct LossTerms {
    let functions: [LossFunction]
    /// The output that each term is of, by value index; shares before they are rounded to a narrow type.
    let outputs: [Int]
    /// Whether anything is compared with the unpruned model's outputs.
    let needsReference: Bool
    private let dataset: Dataset
    private let labels: [Labels?]
    private let positionWeights: String?

    /// What a term takes for labels.
    private struct Labels {
        let values: [Int64]
        let positions: Int
    }

    /// - Throws: `EngineError` when the data has not what the loss needs.
    init(_ description: LossDescription, graph: Graph, dataset: Dataset) throws {
        self.dataset = dataset
        functions = description.terms.map { LossFunction(term: $0) }
        outputs = try description.terms.map { term in
            guard let port = graph.outputs.first(where: { $0.name == term.output }) else {
                throw EngineError.data("the model has no output '\(term.output)'")
            }
            return graph.beforeRounding(port.value, term.form)
        }
        needsReference = description.needsReference
        positionWeights = description.positionWeights
        labels = try description.terms.map { term in
            guard let array = try description.labels(of: term, in: dataset) else { return nil }
            return Labels(values: try array.int64s(), positions: array.rowElementCount)
        }
    }

    /// What the outputs of a block are compared with, term by term.
    ///
    /// - Parameter unpruned: the unpruned model's outputs, term by term.
    func references(_ samples: [Int], unpruned: () throws -> [Tensor]) throws -> [LossFunction.Reference] {
        let own = needsReference ? try unpruned() : []
        return try functions.indices.map { index in
            let term = functions[index].term
            if let labels = labels[index] {
                let positions = labels.positions
                return .labels(
                    samples.flatMap { labels.values[$0 * positions..<($0 + 1) * positions] },
                    positions: positions)
            }
            if let array = term.array {
                guard dataset.arrays[array] != nil else {
                    throw EngineError.data(
                        "the loss \(term.loss.rawValue) needs an array '\(array)', and the data has none")
                }
                return .tensor(try Tensor(dataset.gather(samples, from: array)))
            }
            return .tensor(own[index])
        }
    }

    /// How much each position of a block counts, [N, T]; `nil` where all count alike.
    func counts(_ samples: [Int]) throws -> Tensor? {
        try positionWeights.map { try Tensor(dataset.gather(samples, from: $0)).converted(to: .float64) }
    }

    /// The per-sample losses of a block's outputs, given term by term: of a single term its own, otherwise their sum.
    func scores(
        _ outputs: [Tensor], against references: [LossFunction.Reference], counts: Tensor?, samples: Int
    ) throws -> SampleScores {
        var sums: [Double] = []
        var correct: [UInt32] = []
        for (index, function) in functions.enumerated() {
            let scores = try function(
                outputs[index], against: references[index], counts: counts, samples: samples)
            let factor = function.term.factor
            if functions.count == 1 && factor == 1 { return scores }
            // IEEE 754 rounds monotonically, so that sums of terms keep the bounds of the race right.
            sums =
                sums.isEmpty
                ? scores.losses.map { Double($0) * factor }
                : zip(sums, scores.losses).map { $0 + Double($1) * factor }
            if correct.isEmpty { correct = scores.correct }
        }
        return SampleScores(losses: sums.map { Float($0) }, correct: correct)
    }

    /// The loss of every sample, [N], recorded for backward where the outputs are.
    func differentiable(
        _ outputs: [Tensor], against references: [LossFunction.Reference], counts: Tensor?
    ) throws -> Tensor {
        var sum: Tensor?
        for index in functions.indices {
            let losses = try differentiable(index, outputs[index], against: references[index], counts: counts)
            sum = try sum.map { try $0 + losses.converted(to: $0.scalarType) } ?? losses
        }
        guard let sum else { throw EngineError.data("a loss needs an output") }
        return sum
    }

    /// One term of it.
    func differentiable(
        _ index: Int, _ output: Tensor, against reference: LossFunction.Reference, counts: Tensor?
    ) throws -> Tensor {
        let function = functions[index]
        let losses = try function.differentiable(output, against: reference, counts: counts)
        return function.term.factor == 1 ? losses : try losses * function.term.factor
    }
}

extension LossDescription {
    /// The weight of every sample: 1 or the number of counted labels, times the data's own weights.
    ///
    /// - Throws: `EngineError` when the data has not what the loss needs, or every weight is 0.
    public func weights(for dataset: Dataset) throws -> [Float] {
        for term in terms where term.array != nil {
            let labels = try labels(of: term, in: dataset)
            let targets = term.array.flatMap { dataset.arrays[$0] }
            let weights = try term.loss.weights(for: dataset, labels: labels, targets: targets)
            if term == labelled ?? terms.first(where: { $0.array != nil }) { return weights }
        }
        return try terms[0].loss.weights(for: dataset, labels: nil, targets: nil)
    }

    /// What a term takes for labels: those of positions that do not count are left out.
    public func labels(of term: Term, in dataset: Dataset) throws -> NumpyArray? {
        guard let name = term.array, let array = dataset.arrays[name], array.elementType == .int64 else {
            return nil
        }
        guard term.loss.needsLabels, let mask = positionWeights, let counts = dataset.arrays[mask],
            counts.shape == array.shape
        else { return array }
        let wanted = try zip(
            array.int64s(),
            counts.elementType.isFloatingPoint
                ? counts.floats() : counts.int64s().map { Float($0) }
        ).map { $1 == 0 ? Dataset.ignoredLabel : $0 }
        return try NumpyArray(shape: array.shape, values: wanted)
    }
}
