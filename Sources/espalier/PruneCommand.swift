public import ArgumentParser
internal import ComputationGraph
internal import Pruning
internal import Report
public import Search

struct PruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Search for the edges whose removal changes the loss least, and write the pruned model.",
        discussion: """
              espalier prune model.onnx --data calibration.npz --steps 6 --output pruned.onnx
              espalier prune model.onnx --data calibration.npz --until flops=0.6 --strategy beam --beam-width 4
              espalier prune model.onnx --data calibration.npz --max-loss-increase 0.05 --workers 8

            Every loss is measured on all samples with the edges really removed; hopeless expansions are dropped as \
            soon as the part that is measured proves them so, which never changes the result. The result is the same \
            to the last bit for any number of workers.

            The run's folder keeps every result as it is measured. After an interruption (Ctrl-C, a crash), run the \
            same command with --resume.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Data") var data: DataOptions

    @Option(name: .long, help: "greedy, beam, exhaustive or random.", transform: StrategyName.init)
    var strategy = StrategyName.greedy
    @Option(name: .long, help: ArgumentHelp("States that a beam search keeps per level.", valueName: "K"))
    var beamWidth = 4
    @Option(name: .long, help: "The seed of the random strategy.")
    var seed: UInt64 = 0
    @Option(
        name: .long,
        help: """
            Which edges may be removed: branches (skip connections, residual branches, attention and MLP blocks), all, \
            or a regular expression on names and operators.
            """)
    var candidates = "branches"
    @Option(name: .long, help: ArgumentHelp("Stop after N removals.", valueName: "N"))
    var steps: Int?
    @Option(
        name: .long,
        help: ArgumentHelp("Stop at a share of the cost: parameters=0.5 or flops=0.5.", valueName: "budget"))
    var until: Budget?
    @Option(name: .long, help: ArgumentHelp("Stop before the loss rises by more than X.", valueName: "X"))
    var maxLossIncrease: Double?
    @Option(name: .long, help: "What is made small: absolute (|L' - L|) or signed (L' - L).")
    var objective: Objective = .absolute
    @Flag(
        name: .customLong("no-bounds"),
        help: "Evaluate everything, dropping nothing early. The result is the same.")
    var withoutBounds = false

    @OptionGroup var screening: ScreeningOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Worker processes on this machine; 0 searches in this process. (default: one per core; none with --bind)",
            valueName: "N"))
    var workers: Int?
    @OptionGroup(title: "Workers on other machines") var cluster: ClusterOptions
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Serve the run's progress over HTTP: /metrics for Prometheus, /status as JSON.",
            valueName: "host:port"))
    var metrics: String?
    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "The folder that keeps the run. (default: espalier-run-MODEL)", valueName: "folder"))
    var folder: String?
    @Flag(name: .long, help: "Go on with the run in the folder where it was stopped.")
    var resume = false
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where to write the pruned model. (default: pruned.onnx in the run's folder)", valueName: "file"))
    var output: String?
    @OptionGroup var log: LogOption
    @OptionGroup var json: JSONOption

    func validate() throws {
        if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
        if let workers, !(0...1024).contains(workers) {
            throw ValidationError("--workers must be between 0 and 1024")
        }
        try cluster.checkNumerics(resumes: resume)
        if beamWidth < 1 { throw ValidationError("--beam-width must be at least 1") }
        if let maxLossIncrease, !(maxLossIncrease >= 0) {
            throw ValidationError("--max-loss-increase must be a number not below 0")
        }
        _ = try data.measurement(for: model.model)
        try screening.check(strategy)
    }

    private var settings: SearchSettings {
        SearchSettings(
            strategy: strategy.strategy(width: beamWidth, seed: seed), objective: objective, steps: steps,
            until: until, maximumLossIncrease: maxLossIncrease, usesBounds: !withoutBounds,
            screening: screening.settings)
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable()
            let options = PruneOptions(
                model: model.model, measurement: try data.measurement(for: model.model),
                candidates: .init(argument: candidates), search: settings,
                workers: workers ?? cluster.defaultWorkers,
                remote: try cluster.remote(), metrics: metrics,
                folder: folder ?? PruneOptions.defaultFolder(for: model.model), resumes: resume,
                allowsMixedNumerics: cluster.allowMixedNumerics, output: output,
                logger: log.logger("espalier"))
            let interruption = Interruption()

            let run = try PruneRun(options, interruption: interruption, observer: ProgressDisplay())
            let result: PruneRun.Result
            do {
                result = try await run.perform()
                if let path = json.path {
                    try run.waitingForRoom { try JSONOutput.write(result.summary, to: path) }
                }
            } catch is Interrupted {
                StandardError.write(
                    "espalier: interrupted; everything measured is kept in \(options.folder): go on with the same "
                        + "command and --resume\n")
                throw ExitStatus.interrupted
            }
            if !json.takesStandardOutput {
                print(
                    SummaryText(result.summary).plain
                        + "\nmodel: \(result.model)\nrun:   \(options.folder)\n", terminator: "")
            }
        }
    }
}

/// A strategy's name; its parameters are options of their own.
enum StrategyName: String {
    case greedy, beam, exhaustive, random

    init(_ argument: String) throws {
        guard let name = StrategyName(rawValue: argument) else {
            throw ValidationError("the strategy '\(argument)' is none of greedy, beam, exhaustive, random")
        }
        self = name
    }

    func strategy(width: Int, seed: UInt64) -> Strategy {
        switch self {
        case .greedy: .greedy
        case .beam: .beam(width: width)
        case .exhaustive: .exhaustive
        case .random: .random(seed: seed)
        }
    }
}

extension Budget: ExpressibleByArgument {}
extension Objective: ExpressibleByArgument {}
