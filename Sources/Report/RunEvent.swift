public import ComputationGraph
public import Datasets
public import Search

/// Something that happens in a run. All that is told of a run follows from its events (`RunRecord`).
public enum RunEvent: Sendable {
    /// The search begins. What is known of an earlier search of the same program is forgotten.
    case began(RunSetup)
    /// A level begins, or more results of it are there.
    case advanced(LevelProgress)
    /// A level is over.
    ///
    /// - Parameters:
    ///   - level: the number of removals; 0 is the measurement of the unpruned model.
    ///   - states: what the level kept, best first; nothing when no removal keeps within the limits.
    ///   - work: the work of all of the level's races.
    case levelFinished(level: Int, states: [State], work: WorkCount)
    /// A variant was measured on the held-out data.
    ///
    /// - Parameter level: the level whose best state it is; `nil` for a variant that is measured for another reason.
    case heldOutMeasured(Variant, MeasuredState.Measurement, level: Int?)
    /// A fine-tuning has come so far.
    case trained(RunStatus.Training)
    /// These workers are connected: the first of them, and the number of all.
    case workers([RunStatus.Worker], count: Int)
    /// The run waits, for a reason that is a sentence. It may be told again.
    case paused(String)
    /// The run goes on after a pause.
    case resumed
    /// Something is worth a line, e.g. a worker that was replaced.
    case noted(String)
    /// The search is over.
    case ended(RunEnding)
}

/// What a search was asked for, and on which data.
public struct RunSetup: Sendable {
    /// What was asked for.
    public let settings: SearchSettings
    /// What kinds of units could go, and what they read instead.
    public let units: UnitSelection
    /// The loss function's name.
    public let loss: String
    /// Samples that the losses are averaged over.
    public let samples: Int
    /// Samples per block.
    public let blockSize: Int
    /// Shards that the samples are divided into.
    public let shards: Int
    /// The labels that count towards the accuracy; `nil` without labels.
    public let countedLabels: LabelCounts?
    /// The data that the search never sees; `nil` where there are none.
    public let heldOut: HeldOutData?
    /// The data that layers are fitted on, in words; `nil` where nothing is recovered.
    public let fitData: String?
    /// The names that the file gives to a removal, where they are known.
    let names: @Sendable (Unit) -> NamedEdge?

    /// The setup of a search over the samples of `division`.
    public init(
        settings: SearchSettings, units: UnitSelection = UnitSelection(), loss: String,
        division: SampleDivision, countedLabels: LabelCounts?,
        heldOut: HeldOutData? = nil, fitData: String? = nil,
        names: @escaping @Sendable (Unit) -> NamedEdge? = { _ in nil }
    ) {
        self.names = names
        self.settings = settings
        self.fitData = fitData
        self.units = units
        self.loss = loss
        samples = division.measured
        blockSize = division.sharding.blockSize
        shards = division.sharding.shards
        self.countedLabels = countedLabels
        self.heldOut = heldOut
    }
}

/// The data that the search never sees (`--validation`).
public struct HeldOutData: Sendable, Hashable, Encodable {
    /// The data as they were named.
    public let data: String
    /// The number of samples.
    public let samples: Int

    /// Data under a name.
    public init(data: String, samples: Int) {
        self.data = data
        self.samples = samples
    }
}

/// How far the race in work is. A level has one race, or more: under a budget those that reach it race by themselves, and
/// screening measures a sample of what it left out.
public struct LevelProgress: Sendable {
    /// The number of removals.
    public let level: Int
    /// The race's first expansion, by which it is told from other races of its level; `nil` for a race without any.
    public let first: Variant?
    /// Expansions that are still in the race.
    public let running: Int
    /// All expansions of the race.
    public let expansions: Int
    /// Tasks whose results were folded, those of an earlier run among them.
    public let tasks: Int
    /// Block evaluations done, those of an earlier run among them.
    public let evaluations: Int
    /// The most block evaluations that the race can take.
    public let most: Int
    /// The best objective value so far.
    public let best: Double?
    private let estimate: @Sendable () -> Int

    /// The progress of a race.
    public init(_ race: LevelRace) {
        let (running, expansions) = race.progress
        self.init(
            level: race.level.number, first: race.level.expansions.first?.variant, running: running,
            expansions: expansions, tasks: race.workSoFar.tasks,
            evaluations: race.workSoFar.blockEvaluations, most: race.workSoFar.bruteForceBlockEvaluations,
            best: race.bestSoFar, likelyLeft: race.likelyEvaluationsLeft)
    }

    /// Progress in plain numbers.
    ///
    /// - Parameter likelyLeft: the block evaluations that are likely left; worked out when it is asked for.
    init(
        level: Int, first: Variant?, running: Int, expansions: Int, tasks: Int, evaluations: Int, most: Int,
        best: Double?, likelyLeft: @autoclosure @escaping @Sendable () -> Int
    ) {
        self.level = level
        self.first = first
        self.running = running
        self.expansions = expansions
        self.tasks = tasks
        self.evaluations = evaluations
        self.most = most
        self.best = best
        estimate = likelyLeft
    }

    /// The block evaluations that are likely left of the race, by what has been dropped so far. It takes a look at every
    /// expansion.
    public var likelyLeft: Int { estimate() }
}

/// What a search came to, with the names that the file gives to what was removed.
public struct RunEnding: Sendable {
    /// What the search found.
    let result: SearchResult
    /// The names of what each state of the path removed last.
    let edges: [NamedEdge?]
    /// Which outputs were measured, and on what scale; `nil` where that was not told.
    let report: LossReport?
    /// How many workers took part.
    let workers: Int
    /// Machines whose results were used although they compute other bits than the coordinator.
    let mixedNumerics: [String]

    /// The end of a search.
    ///
    /// - Parameters:
    ///   - result: what the search found.
    ///   - graph: the graph that was searched.
    ///   - blockNames: the modules of what goes with an edge, where they are known.
    ///   - report: which outputs were measured, and on what scale.
    ///   - workers: how many workers took part.
    ///   - mixedNumerics: machines of results in other bits than the coordinator's.
    public init(
        _ result: SearchResult, graph: Graph, blockNames: [Edge: String] = [:], report: LossReport? = nil,
        workers: Int, mixedNumerics: [String] = []
    ) {
        self.result = result
        edges = result.path.map { state in
            state.unit.map { NamedEdge($0, in: graph, block: blockNames[$0.edge]) }
        }
        self.report = report
        self.workers = workers
        self.mixedNumerics = mixedNumerics
    }
}
