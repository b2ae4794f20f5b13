internal import ArgumentParser
internal import ComputationGraph
internal import Files
internal import Pruning

/// The options that say how weights are refitted before a mask is measured, and on what.
struct RecoveryArguments: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What adapts to a removal before it is measured: least-squares, bias, norm, mean, train:STEPS or none; several with commas.",
            discussion: """
                least-squares refits every linear layer behind a removal, in graph order, so that it gives what it gave in \
                the unpruned model, or what makes a sum whole that it enters. bias refits their biases alone: what removed parts \
                gave on average is folded in. norm refits scale and shift of every normalisation. mean is --replace mean. For these no \
                labels are needed, and nothing is random. train:STEPS trains all weights for so many steps after that, on \
                --train-data, with the unpruned model as teacher, from the weights of the step before; its order of samples follows \
                from a fixed seed. train:50x3 judges by the mean of three trainings with other orders, and keeps the first.
                """,
            valueName: "rungs"),
        completion: .list(RungList.names),
        transform: { text in
            guard let rungs = RungList(text) else {
                throw ValidationError(
                    "'\(text)' is none: there are least-squares, bias, norm, mean, train:STEPS and none, with commas between"
                        + Suggestion.text(for: text, among: RungList.names))
            }
            return rungs
        })
    var recover = RungList.none

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The strength of the ridge that holds refitted weights near the old ones, as a share of the mean of the Gram "
                + "matrix's diagonal. (default: chosen for each layer by rows held out of the fit)",
            valueName: "X"))
    var ridge: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Data to fit on, without labels. (default: some of the samples are set apart)", valueName: "data"),
        completion: .file(extensions: ["npz"]))
    var fitData: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With train:STEPS: the data to train on, with what the loss compares with. (default: half of the samples, set apart)",
            valueName: "data"), completion: .file(extensions: ["npz"]))
    var trainData: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With train:STEPS: the largest learning rate. (default: 0.0003 after least-squares, otherwise 0.001)",
            valueName: "X"))
    var trainRate: Double?

    @Option(name: .long, help: ArgumentHelp("With train:STEPS: samples of a step.", valueName: "N"))
    var trainBatch = 64

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The most samples to fit on. (default: 512, fewer of a large model or of few samples; 4096 to train on)",
            valueName: "N"))
    var fitSamples: Int?

    @Option(
        name: .long,
        help: ArgumentHelp("Rows that a layer is fitted on, for each of its features.", valueName: "N"))
    var fitRows = Recovery.usualRowsPerFeature

    func validate() throws {
        if let ridge, !(ridge >= 0 && ridge.isFinite) {
            throw ValidationError("--ridge must be a number not below 0")
        }
        if let fitSamples, fitSamples < 1 { throw ValidationError("--fit-samples must be at least 1") }
        if fitRows < 1 { throw ValidationError("--fit-rows must be at least 1") }
        if recover.rungs.isEmpty,
            ridge != nil || (recover.steps == nil && (fitData ?? fitSamples.map(String.init)) != nil)
        {
            throw ValidationError(
                "--ridge, --fit-data and --fit-samples need --recover least-squares or norm")
        }
        if recover.steps == nil, trainData != nil || trainRate != nil || trainBatch != 64 {
            throw ValidationError("--train-data, --train-rate and --train-batch need --recover train:STEPS")
        }
        if trainData != nil, fitData != nil {
            throw ValidationError(
                "--train-data and --fit-data exclude each other: layers are fitted on the training data")
        }
        if let trainRate, !(trainRate > 0 && trainRate.isFinite) {
            throw ValidationError("--train-rate must be greater than 0")
        }
        if trainBatch < 1 { throw ValidationError("--train-batch must be at least 1") }
    }

    /// What is refitted, and on what.
    var options: RecoveryOptions {
        RecoveryOptions(recovery(of: recover), data: trainData ?? fitData, samples: fitSamples)
    }

    /// The recovery of these kinds, with the settings that are given.
    func recovery(of kinds: RungList) -> Recovery {
        Recovery(
            kinds.rungs, ridge: ridge, rowsPerFeature: fitRows,
            training: kinds.steps.map {
                ShortTraining(
                    steps: $0, rate: trainRate ?? (kinds.rungs.contains(.leastSquares) ? 0.0003 : 0.001),
                    batch: trainBatch, microBatch: min(trainBatch, 64),
                    repeats: kinds.repeats)
            })
    }

    /// What removed slots read, where nothing else is asked for.
    func replacement(_ asked: Replacement) -> Replacement {
        recover.replacesByMean && asked == .zero ? .mean : asked
    }
}
