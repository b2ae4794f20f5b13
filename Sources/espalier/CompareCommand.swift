internal import ArgumentParser
internal import Pruning
internal import Report
internal import Search

struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Run several strategies on one model, and show them side by side.",
        discussion: """
              espalier compare example:digits-resnet --steps 5 --strategies greedy,beam:4,random,taylor1,taylor2 \
                --validation example:digits-resnet/held-out

            Strategies: greedy, beam:K, exhaustive, random (with several seeds) or random:SEED, and the criteria of \
            'espalier score', which rank all edges once and remove them in that order. All share one set of workers \
            and every result that two of them need. With --validation every step is measured on held-out data too.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Data") var data: DataOptions
    @Option(name: .long, help: ArgumentHelp("Held-out data.", valueName: "data"))
    var validation: String?
    @Option(name: .long, help: ArgumentHelp("What is compared, separated by commas.", valueName: "list"))
    var strategies = "greedy,random,taylor1"
    @Option(name: .long, help: ArgumentHelp("Seeds of the random baseline.", valueName: "N"))
    var seeds = 3
    @Option(name: .long, help: "Which edges may be removed: branches, all, or a regular expression.")
    var candidates = "branches"
    @Option(name: .long, help: ArgumentHelp("Stop after N removals.", valueName: "N"))
    var steps: Int?
    @Option(
        name: .long,
        help: ArgumentHelp("Stop at a share of the cost: parameters=0.5 or flops=0.5.", valueName: "budget"))
    var until: Budget?
    @Option(name: .long, help: "What is made small: absolute (|L' - L|) or signed (L' - L).")
    var objective: Objective = .absolute
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Worker processes on this machine; 0 computes in this process. (default: one per core; none with --bind)",
            valueName: "N"))
    var workers: Int?
    @OptionGroup(title: "Workers on other machines") var cluster: ClusterOptions
    @Option(name: .long, help: ArgumentHelp("Write the table as comma-separated values.", valueName: "file"))
    var csv: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Write a page with charts: one HTML file that needs nothing else.", valueName: "file"))
    var report: String?
    @OptionGroup var log: LogOption
    @OptionGroup var json: JSONOption

    func validate() throws {
        if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
        if let workers, !(0...1024).contains(workers) {
            throw ValidationError("--workers must be between 0 and 1024")
        }
        try cluster.checkNumerics(resumes: false)
        if seeds < 1 { throw ValidationError("--seeds must be at least 1") }
        do { _ = try Contender.list(strategies) } catch { throw ValidationError("\(error)") }
        _ = try data.measurement(for: model.model)
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable()
            for path in [report, csv] { if let path { try OutputFile.checkWritable(path) } }
            let options = CompareOptions(
                model: model.model, measurement: try data.measurement(for: model.model),
                validation: validation,
                candidates: .init(argument: candidates), contenders: try Contender.list(strategies),
                search: SearchSettings(objective: objective, steps: steps, until: until), seeds: seeds,
                workers: workers ?? cluster.defaultWorkers,
                remote: try cluster.remote(),
                logger: log.logger("espalier"))
            let comparison = try await Comparison(
                options, interruption: Interruption(), observer: ProgressDisplay())
            if let path = json.path { try JSONOutput.write(comparison, to: path) }
            if let report {
                let page = comparison.html(model: options.model, data: options.measurement.data)
                try TextOutput.write(page, to: report)
            }
            if let csv { try TextOutput.write(comparison.csv, to: csv) }
            if !json.takesStandardOutput { print(comparison.text, terminator: "") }
        }
    }
}
