public import ComputationGraph
public import Logging
public import Search

/// Everything that `prune` is asked to do.
public struct PruneOptions: Sendable {
    /// The model: a path, or an example's name.
    public var model: String
    /// What is measured on which data.
    public var measurement: MeasurementOptions
    /// Which edges may be removed.
    public var candidates: CandidateSelection
    /// What kinds of units those are, and what they read instead.
    public var units = UnitSelection()
    /// How to search, and when to stop.
    public var search: SearchSettings
    /// Whether to go as far as it goes when a budget cannot be reached.
    public var isBestEffort: Bool
    /// Worker processes on this machine; 0 searches in this process.
    public var workers: Int
    /// Workers on other machines, beside those on this one.
    public var remote: RemoteWorkers?
    /// Where the run's metrics are served, `HOST:PORT`; `nil` for nowhere.
    public var metrics: String?
    /// The folder that keeps the run.
    public var folder: String
    /// Whether to go on with the run in `folder`.
    public var resumes: Bool
    /// Whether to go on with it although its results were computed in other bits than this machine computes.
    public var allowsMixedNumerics: Bool
    /// Whether to go on with it although another version of Espalier began it.
    public var allowsOtherVersion = false
    /// Where the pruned model goes besides the run's folder.
    public var output: String?
    /// Data that never choose anything, on which every state of the path is measured too.
    public var validation: String?
    /// The steps of the path whose models are written too.
    public var exportSteps: [Int]
    /// What the user typed, word by word: kept with the run.
    public var commandLine: [String]
    /// Tells what happens among the workers.
    public var logger: Logger

    /// Options as the command line gives them.
    public init(
        model: String, measurement: MeasurementOptions, candidates: CandidateSelection,
        search: SearchSettings, isBestEffort: Bool = false,
        workers: Int, remote: RemoteWorkers? = nil, metrics: String? = nil, folder: String, resumes: Bool,
        allowsMixedNumerics: Bool = false, output: String?, validation: String? = nil,
        exportSteps: [Int] = [], commandLine: [String], logger: Logger
    ) {
        self.model = model
        self.measurement = measurement
        self.candidates = candidates
        self.search = search
        self.isBestEffort = isBestEffort
        self.workers = workers
        self.remote = remote
        self.metrics = metrics
        self.folder = folder
        self.resumes = resumes
        self.allowsMixedNumerics = allowsMixedNumerics
        self.output = output
        self.validation = validation
        self.exportSteps = exportSteps
        self.commandLine = commandLine
        self.logger = logger
    }
}

extension PruneOptions {
    /// The run's folder when none is given: `espalier-run-` and the model's name.
    public static func defaultFolder(for model: String) -> String {
        let name = model.split(separator: "/").last.map(String.init) ?? model
        let stem = name.hasSuffix(".onnx") ? String(name.dropLast(5)) : name
        return "espalier-run-" + stem.replacing("example:", with: "")
    }
}

/// Espalier itself.
public enum Espalier {
    /// The version of the program.
    public static let version = "0.1.0"
}
