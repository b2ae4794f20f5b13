internal import Torch

/// How far a model's outputs are from its teacher's.
struct Distillation {
    /// A comparison for each term of the loss.
    private let functions: [LossFunction]

    /// - Parameters:
    ///   - terms: those of the loss.
    ///   - temperature: what logits are divided by.
    init(of terms: LossTerms, temperature: Double) {
        functions = terms.functions.map { function in
            var term = function.term
            // Numbers that targets or a comparison of the user's measure as such are taught as such.
            term.loss = term.loss.selfConsistent ?? Loss.natural(for: term.form)
            return term.loss == .klDivergence
                ? LossFunction(term: term, definition: TemperedDivergence(temperature: temperature))
                : LossFunction(term: term)
        }
    }

    /// The distance of every sample, [N], recorded for backward where the outputs are.
    ///
    /// - Parameters:
    ///   - outputs: by term.
    ///   - teacher: the teacher's, by term.
    func losses(_ outputs: [Tensor], teacher: [Tensor], counts: Tensor?, samples: Int) throws -> Tensor {
        var sum: Tensor?
        for (index, function) in functions.enumerated() {
            let losses =
                try function.losses(
                    outputs[index], against: .tensor(teacher[index]), counts: counts, samples: samples)
                * function.term.factor
            sum = try sum.map { try $0 + losses.converted(to: $0.scalarType) } ?? losses
        }
        guard let sum else { throw EngineError.data("a loss needs an output") }
        return sum
    }
}

/// T² Σ p log(p/q) over classes, p and q being the softmax of the teacher's and the model's logits divided by the temperature T.
///
/// Hinton, Vinyals, Dean: Distilling the knowledge in a neural network, 2015, section 2.
private struct TemperedDivergence: LossDefinition {
    let temperature: Double

    var comparison: LossComparison { .unprunedOutputs }
    var selfConsistent: Loss? { .klDivergence }
    var spansClasses: Bool { true }
    var isDouble: Bool { true }

    func term(_ output: LossOutput, _ target: Tensor) throws -> Tensor {
        // Logarithms of probabilities are logits as well.
        func tempered(_ output: LossOutput) throws -> Tensor {
            try (output.form == .logits ? output.tensor : output.logProbabilities) * (1 / temperature)
        }
        let own = LossOutput(
            tensor: try tempered(output), form: .logits, classDimension: output.classDimension)
        return try Divergence().term(own, tempered(output.with(target))) * (temperature * temperature)
    }
}
