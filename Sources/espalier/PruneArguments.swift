internal import ArgumentParser
internal import Pruning
internal import Search

/// What most people say of a search besides when it stops.
struct PruneArguments: ParsableArguments {
    @Option(
        name: .long, help: "greedy, beam, exhaustive or random; beam:8 is wider, random:7 has another seed.",
        completion: .list(["greedy", "beam:4", "exhaustive", "random:0"]), transform: StrategyName.init)
    var strategy = StrategyName.greedy
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where to write the pruned model. (default: pruned.onnx in the run's folder)", valueName: "file"),
        completion: .file(extensions: ["onnx"]))
    var output: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Held-out data: every step of the path is measured on them too, and they never choose anything.",
            valueName: "data"),
        completion: .file(extensions: ["npz"]))
    var validation: String?
    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "The folder that keeps the run. (default: espalier-run-MODEL)", valueName: "folder"),
        completion: .directory)
    var folder: String?
}

/// What a search does in detail.
struct SearchDetails: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Stop before the loss rises by more than X.", valueName: "X"))
    var maxLossIncrease: Double?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Remove nothing that lets the accuracy on the data fall by more than X below the unpruned model's, in shares: "
                + "0.01 is one of a hundred labels. Where nothing else is left, stop.",
            valueName: "X"))
    var maxAccuracyDrop: Double?
    @Flag(
        name: .long,
        help: "Go as far as it goes when --until cannot be reached, instead of refusing.")
    var bestEffort = false
    @Option(
        name: .long,
        help: ArgumentHelp(
            "States that a beam search keeps per level, as beam:K says. (default: 4)", valueName: "K"))
    var beamWidth: Int?
    @Option(name: .long, help: "The seed of the random strategy, as random:SEED says. (default: 0)")
    var seed: UInt64?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Let greedy remove the best N of a level in one step, where no layer has to do with two of them; what they lose "
                + "together is measured.", valueName: "N"))
    var stepRemovals = 1
    @Flag(
        name: .customLong("no-bounds"),
        help: "Evaluate everything, dropping nothing early. The result is the same.")
    var withoutBounds = false

    func validate() throws {
        if let maxAccuracyDrop, !(0...1).contains(maxAccuracyDrop) {
            throw ValidationError(
                "--max-accuracy-drop must be a share between 0 and 1: 0.01 is one percentage point")
        }
        if stepRemovals < 1 { throw ValidationError("--step-removals must be at least 1") }
        if let beamWidth, beamWidth < 1 { throw ValidationError("--beam-width must be at least 1") }
        if let maxLossIncrease, !(maxLossIncrease >= 0 && maxLossIncrease.isFinite) {
            throw ValidationError("--max-loss-increase must be a number not below 0")
        }
    }
}
