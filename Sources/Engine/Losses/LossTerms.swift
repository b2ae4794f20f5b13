internal import ComputationGraph
internal import Datasets
internal import Torch

/// A loss made ready for a data set: the terms with what they read of it.
struct LossTerms {
    let functions: [LossFunction]
    /// The output that each term is of, by value index; shares before they are rounded to a narrow type.
    let outputs: [Int]
    /// Whether anything is compared with the unpruned model's outputs.
    private let needsReference: Bool
    private let dataset: Dataset
    private let compared: [Compared]
    private let positionWeights: String?

    /// What a term is compared with.
    private enum Compared {
        case unpruned
        case labels(Labels)
        /// Labels in place of targets.
        case flags([Int64], positions: Int)
        /// An array of the data, which need not be there before a block is measured.
        case array(String)
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
        compared = try description.terms.map { term in
            let comparison = term.loss.definition.comparison
            if comparison == .unprunedOutputs { return .unpruned }
            if let labels = try description.labels(of: term, in: dataset) { return .labels(labels) }
            guard let name = term.array else {
                throw EngineError.data("the loss \(term.loss.rawValue) lacks what it compares with")
            }
            if comparison == .targetsOrLabels, let array = dataset.arrays[name], array.elementType == .int64 {
                return .flags(try array.int64s(), positions: array.rowElementCount)
            }
            return .array(name)
        }
    }

    // MARK: Blocks

    /// What a block's outputs are compared with, made once for all masks that it is measured under.
    struct Block {
        let samples: Int
        let references: [LossFunction.Reference]
        /// How much each position counts, [N, T]; `nil` where all count alike.
        let counts: Tensor?
    }

    /// What the outputs of a block are compared with.
    ///
    /// - Parameter unpruned: the unpruned model's outputs, term by term; asked for if a term needs them.
    func block(_ samples: [Int], unpruned: () throws -> [Tensor]) throws -> Block {
        let own = needsReference ? try unpruned() : []
        return Block(
            samples: samples.count,
            references: try functions.indices.map { index in
                try reference(index, samples) ?? .tensor(own[index])
            }, counts: try counts(samples))
    }

    /// What a term's outputs are compared with; `nil` for the unpruned model's.
    func reference(_ index: Int, _ samples: [Int]) throws -> LossFunction.Reference? {
        switch compared[index] {
        case .unpruned: return nil
        case .labels(let labels): return .labels(try LabelBlock(labels.block(samples)))
        case .flags(let values, let positions):
            return .flags(
                samples.flatMap { values[$0 * positions..<($0 + 1) * positions] }, positions: positions)
        case .array(let name):
            guard dataset.arrays[name] != nil else {
                throw EngineError.data(
                    "the loss \(functions[index].term.loss.rawValue) needs an array '\(name)', and the data has none"
                )
            }
            return .tensor(try Tensor(dataset.gather(samples, from: name)))
        }
    }

    /// How much each position of a block counts, [N, T]; `nil` where all count alike.
    func counts(_ samples: [Int]) throws -> Tensor? {
        try positionWeights.map { try Tensor(dataset.gather(samples, from: $0)).converted(to: .float64) }
    }

    // MARK: Numbers

    /// The per-sample losses of a block's outputs, given term by term: of a single term its own, otherwise their sum.
    func scores(_ outputs: [Tensor], against block: Block) throws -> SampleScores {
        var sums: [Double] = []
        var correct: [UInt32] = []
        for (index, function) in functions.enumerated() {
            let scores = try function.scores(
                outputs[index], against: block.references[index], counts: block.counts,
                samples: block.samples)
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
    func losses(_ outputs: [Tensor], against block: Block) throws -> Tensor {
        var sum: Tensor?
        for index in functions.indices {
            let losses = try losses(of: index, outputs[index], against: block)
            sum = try sum.map { try $0 + losses.converted(to: $0.scalarType) } ?? losses
        }
        guard let sum else { throw EngineError.data("a loss needs an output") }
        return sum
    }

    /// One term of it.
    func losses(of index: Int, _ output: Tensor, against block: Block) throws -> Tensor {
        let function = functions[index]
        let losses = try function.losses(
            output, against: block.references[index], counts: block.counts, samples: block.samples)
        return function.term.factor == 1 ? losses : try losses * function.term.factor
    }
}
