internal import ComputationGraph
internal import Datasets
internal import Torch

/// One output's loss of every sample of a block: the mean of its term over the positions that count.
struct LossFunction {
    let term: LossDescription.Term
    let definition: any LossDefinition

    /// What a block's outputs are compared with.
    enum Reference {
        /// Classes, position by position.
        case labels(LabelBlock)
        /// Labels in place of targets, by sample and position.
        case flags([Int64], positions: Int)
        /// Targets, or the unpruned model's output.
        case tensor(Tensor)
    }

    /// - Parameter definition: another one than that of the term's loss.
    init(term: LossDescription.Term, definition: (any LossDefinition)? = nil) {
        self.term = term
        self.definition = definition ?? term.loss.definition
    }

    /// What the search reads: the losses in single precision, and how many predictions are right.
    ///
    /// - Parameters:
    ///   - output: the model's output, with one entry for each sample along the term's dimension of samples.
    ///   - counts: how much each position of a sample counts, [N, T]; `nil` where all count alike.
    /// - Throws: `EngineError` when the shapes do not fit.
    func scores(_ output: Tensor, against reference: Reference, counts: Tensor?, samples: Int) throws
        -> SampleScores
    {
        let (losses, layout) = try measured(output, reference, counts, samples)
        var scores = SampleScores(losses: try losses.elements(), correct: [])
        // Losses are non-negative by definition; rounding may leave a little below. NaN stays.
        for sample in scores.losses.indices where scores.losses[sample] < 0 { scores.losses[sample] = 0 }
        if case .labels(let labels) = reference, let layout { scores.correct = try labels.correct(layout) }
        return scores
    }

    /// The loss of every sample, [N], recorded for backward where `output` is.
    ///
    /// These are the numbers of `scores`, but for the clamp at 0, which would stop gradients where a loss is smallest.
    func losses(_ output: Tensor, against reference: Reference, counts: Tensor?, samples: Int) throws
        -> Tensor
    {
        try measured(output, reference, counts, samples).losses
    }

    private func measured(_ output: Tensor, _ reference: Reference, _ counts: Tensor?, _ samples: Int) throws
        -> (losses: Tensor, layout: ClassLayout?)
    {
        let output = try samplesFirst(output, samples: samples)
        guard output.rank >= 1, output.shape[0] == samples else {
            throw EngineError.data(
                "the model's output '\(term.output)' has shape \(output.shape): the loss needs floating-point numbers "
                    + "with one row for each of the \(samples) samples")
        }
        if case .labels(let labels) = reference {
            let layout = try ClassLayout(
                of: output, dimension: classDimension(rank: output.rank), positions: labels.positions)
            let losses = try definition.term(
                LossOutput(tensor: layout.output, form: term.form, classDimension: 1),
                labels.target(for: layout))
            return (try labels.mean(losses), layout)
        }
        let weights = applies(counts, to: output) ? counts : nil
        let isDouble = definition.isDouble || weights != nil
        let read = isDouble ? try output.converted(to: .float64) : output
        let losses = try definition.term(self.read(read), target(for: read, reference))
        return (try mean(losses, weights: weights), nil)
    }

    /// The mean of every sample over its positions, [N].
    private func mean(_ losses: Tensor, weights: Tensor?) throws -> Tensor {
        guard losses.rank > 1 else { return losses }
        guard let weights else {
            // In single precision the order of the summands shows: it is that of the elements, however they lie.
            let rows =
                losses.scalarType == .float64 ? losses : try losses.reshaped([losses.shape[0], -1])
            return try rows.averaged(over: Array(1..<rows.rank))
        }
        // Σ m · l / Σ m; a sample without a position that counts has the loss 0.
        let others = losses.shape.dropFirst(2).reduce(1, *)
        let weighted =
            try losses * weights.reshaped(weights.shape + [Int](repeating: 1, count: losses.rank - 2))
        let total = try weights.summed(over: [1]) * Double(others)
        let isEmpty = try equals(.tensor(total), .double(0))
        let divisor = try isEmpty.choosing(Tensor.filled(1, shape: total.shape, type: .float64), else: total)
        return try weighted.summed(over: Array(1..<losses.rank)) / divisor
    }

    // MARK: Outputs

    /// An output, or the part that the term is of, with its samples in the first dimension.
    ///
    /// - Parameter samples: how many there are. A Squeeze of all dimensions of size 1 takes away that of a single one.
    func samplesFirst(_ output: Tensor, samples: Int? = nil) throws -> Tensor {
        guard output.scalarType.isFloatingPoint else {
            throw EngineError.data(
                "the model's output '\(term.output)' is \(output.scalarType): the loss needs numbers")
        }
        var output = output
        if let part = term.part {
            guard part.axis < output.rank, part.upper <= output.shape[part.axis] else {
                throw EngineError.data(
                    "the model's output '\(term.output)' has shape \(output.shape), and no positions \(part.text)"
                )
            }
            output = try output.narrowed(part.axis, from: part.lower, length: part.upper - part.lower)
        }
        guard term.sampleAxis > 0 else {
            return samples == 1 && output.shape.first != 1 ? try output.reshaped([1] + output.shape) : output
        }
        guard term.sampleAxis < output.rank else {
            throw EngineError.data(
                "the model's output '\(term.output)' has shape \(output.shape), and no dimension \(term.sampleAxis)"
            )
        }
        let others = (0..<output.rank).filter { $0 != term.sampleAxis }
        return try output.permuted([term.sampleAxis] + others)
    }

    /// An output, with its samples first, as definitions read it.
    func read(_ output: Tensor) -> LossOutput {
        LossOutput(tensor: output, form: term.form, classDimension: classDimension(rank: output.rank))
    }

    /// The dimension of an output's classes or features.
    private func classDimension(rank: Int) -> Int {
        if let axis = term.classAxis, axis < rank { return axis }
        return ClassLayout.dimension(rank: rank)
    }

    /// Whether weights [N, T] of positions say something about an output: one [N, T, …], of three dimensions or more, whose
    /// classes are not those T.
    func applies(_ counts: Tensor?, to output: Tensor) -> Bool {
        // The features of an embedding [N, C] may be as many as there are positions, by chance.
        guard let counts, output.rank >= 3, output.shape[1] == counts.shape[1] else { return false }
        return !definition.spansClasses || classDimension(rank: output.rank) != 1
    }

    // MARK: Targets

    /// What the output is compared with, in its shape and precision.
    private func target(for output: Tensor, _ reference: Reference) throws -> Tensor {
        switch reference {
        case .tensor(let tensor):
            // The unpruned model's output has its samples where the model has them; targets have them first.
            let isUnpruned = definition.comparison == .unprunedOutputs
            let target = try (isUnpruned ? samplesFirst(tensor, samples: output.shape[0]) : tensor)
                .converted(to: output.scalarType)
            if target.shape == output.shape { return target }
            guard !isUnpruned, target.count == output.count, target.shape.first == output.shape[0] else {
                throw EngineError.data(
                    isUnpruned
                        ? "the output has shape \(output.shape), the unpruned model's \(target.shape)"
                        : "the output has shape \(output.shape), the targets have \(target.shape)")
            }
            return try target.reshaped(output.shape)
        case .flags(let labels, let positions):
            return try flags(labels, positions: positions, shape: output.shape)
        case .labels: throw EngineError.data("the loss \(term.loss.rawValue) lacks what it compares with")
        }
    }

    /// Labels as targets of an output's shape.
    func flags(_ labels: [Int64], positions: Int, shape: [Int]) throws -> Tensor {
        try definition.target(
            labels, positions: positions, shape: shape, classDimension: classDimension(rank: shape.count))
    }
}

private let equals = Operation("aten::eq.Scalar")
