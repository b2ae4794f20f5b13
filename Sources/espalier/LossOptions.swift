internal import ArgumentParser
internal import Engine

/// The options that say what is measured of the outputs.
struct LossOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The loss, or one for each of some outputs with a weight: boxes=mse:0.1,scores=bce.",
            discussion: """
                cross-entropy, next-token, mse, mae, bce and cosine compare with labels or targets; kl, self-mse, \
                self-mae, self-bce and self-cosine with the unpruned model. By default cross-entropy where there are \
                labels (next-token where they are the model's own input tokens, bce where outputs are sigmoids), mse \
                where there are targets, and otherwise, for every floating-point output, kl where it is a \
                distribution or logits, self-bce where it holds sigmoids, and self-mse, divided by the variance, for \
                anything else.
                """,
            valueName: "loss"),
        completion: .list(Loss.allCases.map(\.rawValue)))
    var loss: String?

    @Option(
        name: .customLong("measure-output"),
        help: ArgumentHelp(
            "An output that the loss is measured on; may be given several times. (default: the first for labels and "
                + "targets, otherwise all)",
            valueName: "name"))
    var outputs: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What outputs are: logits, probabilities, log-probabilities, sigmoids or values; found from the graph "
                + "unless given. NAME=FORM for one of several.",
            valueName: "form"),
        completion: .list(OutputForm.allCases.map(\.rawValue)))
    var outputIs: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The dimension, from 0, in which an input or output has its samples, or 'none' for an input that all "
                + "samples share; found from the declared symbols unless given.",
            valueName: "name=axis"))
    var batchAxis: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The input [N, T] that weighs the positions of outputs [N, T, …], or 'none'. (default: an input of zeros "
                + "and ones that is named like a mask)",
            valueName: "input"))
    var positionWeights: String?

    @Flag(
        name: .long,
        help: "Measure a model although its outputs for a sample depend on the other samples of a block.")
    var allowMixedSamples = false

    /// What is asked for.
    ///
    /// - Throws: `ValidationError` for what cannot be read.
    func request() throws -> LossRequest {
        let terms: [LossRequest.Term]
        do { terms = try loss.map(LossRequest.terms(reading:)) ?? [] } catch {
            throw ValidationError("--loss: \(error)")
        }
        var forms: [String: OutputForm] = [:]
        for text in outputIs {
            let (name, word) = LossOptions.parts(text) ?? ("", text)
            guard let form = OutputForm(rawValue: word) else {
                throw ValidationError(
                    "--output-is: '\(word)' is none of "
                        + OutputForm.allCases.map(\.rawValue).joined(separator: ", "))
            }
            forms[name] = form
        }
        return LossRequest(
            terms: terms, outputs: outputs, forms: forms, sampleAxes: try LossOptions.axes(batchAxis),
            positionWeights: positionWeights.map { $0 == "none" ? .none : .input($0) } ?? .automatic,
            allowsMixedSamples: allowMixedSamples)
    }

    /// Reads `NAME=AXIS` and `NAME=none`.
    static func axes(_ texts: [String]) throws -> [String: Int] {
        var axes: [String: Int] = [:]
        for text in texts {
            guard let (name, word) = parts(text), let axis = word == "none" ? -1 : Int(word), axis >= -1,
                axis < 64,
                word != "-1"
            else {
                throw ValidationError(
                    "--batch-axis: '\(text)' is not NAME=AXIS, with a dimension from 0 or 'none'")
            }
            axes[name] = axis
        }
        return axes
    }

    /// A name, which may have equals signs of its own, and what is said of it.
    private static func parts(_ text: String) -> (String, String)? {
        guard let equals = text.lastIndex(of: "="), equals > text.startIndex else { return nil }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
}
