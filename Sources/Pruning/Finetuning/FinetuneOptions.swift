public import ComputationGraph
internal import Journal
public import Logging
public import Training

/// Everything that `finetune` is asked to do.
public struct FinetuneOptions: Sendable {
    /// The model: a path, or an example's name.
    public var model: String
    /// The training data and the loss.
    public var measurement: MeasurementOptions
    /// What is removed while the rest is trained.
    public var mask: Mask
    /// Data that choose the best weights, if any, and are never trained on.
    public var validation: String?
    /// The file of another model that teaches; `nil` for the unpruned model.
    public var teacher: String?
    /// The classes of a fresh last layer; `nil` keeps the model's own.
    public var classes: Int?
    /// How many times all samples are used; `recipe.steps` follows from it where it is given.
    public var epochs: Int?
    /// How it is trained.
    public var recipe: TrainingRecipe
    /// The share of the teacher in the loss; follows from what there is unless given.
    public var distillation: Double?
    /// The share of the steps over which the rate rises.
    public var warmup: Double
    /// Names of parameters that are trained, and of those that are not: regular expressions.
    public var train: String?
    /// Names of parameters that stay as they are.
    public var freeze: String?
    /// Whether layers normalise by the batch while they are trained: batch normalisations, and convolutions into which one was
    /// folded.
    public var normalisesByBatch: Bool
    /// Whether the weights that do best on the validation data are kept, instead of the last ones.
    public var keepsBest: Bool
    /// Steps between two measurements on the validation data; follows from the training's length unless given.
    public var validateEvery: Int?
    /// Worker processes on this machine; 0 trains in this process.
    public var workers: Int
    /// Workers on other machines, beside those on this one.
    public var remote: RemoteWorkers?
    /// Where progress is served over HTTP, `HOST:PORT`; `nil` for nowhere.
    public var metrics: String?
    /// The folder that keeps the run.
    public var folder: String
    /// Whether to go on with the run in `folder`.
    public var resumes: Bool
    /// Whether to go on with it although another version of Espalier began it.
    public var allowsOtherVersion = false
    /// Where the trained model goes besides the run's folder.
    public var output: String?
    /// What the user typed, word by word: kept with the run.
    public var commandLine: [String]
    /// Tells what happens among the workers.
    public var logger: Logger

    /// Options as the command line gives them.
    public init(
        model: String, measurement: MeasurementOptions, mask: Mask = .empty, validation: String? = nil,
        teacher: String? = nil, classes: Int? = nil, epochs: Int? = nil, recipe: TrainingRecipe,
        distillation: Double? = nil, warmup: Double = 0.05, train: String? = nil, freeze: String? = nil,
        normalisesByBatch: Bool = false, keepsBest: Bool = true, validateEvery: Int? = nil, workers: Int,
        remote: RemoteWorkers? = nil, metrics: String? = nil,
        folder: String, resumes: Bool, output: String?, commandLine: [String], logger: Logger
    ) {
        (self.model, self.measurement, self.mask) = (model, measurement, mask)
        (self.validation, self.teacher, self.classes) = (validation, teacher, classes)
        (self.epochs, self.recipe, self.distillation) = (epochs, recipe, distillation)
        (self.warmup, self.train, self.freeze) = (warmup, train, freeze)
        (self.keepsBest, self.validateEvery) = (keepsBest, validateEvery)
        self.normalisesByBatch = normalisesByBatch
        (self.workers, self.remote, self.metrics) = (workers, remote, metrics)
        (self.folder, self.resumes, self.output) = (folder, resumes, output)
        (self.commandLine, self.logger) = (commandLine, logger)
    }

    /// The run's folder when none is given.
    public static func defaultFolder(for model: String) -> String {
        PruneOptions.defaultFolder(for: model) + "-finetuned"
    }
}

/// Every setting that decides a fine-tuning's result, as the run keeps it.
struct FinetuneSettings: Encodable {
    let removed: [String]
    let recipe: TrainingRecipe
    let values: [Int]
    /// Left out where no layer normalises by the batch.
    let batchNorms: [Int]?
    let loss: String
    let samples: Int
    let shards: Int
    let teacher: String?
    let classes: Int?
    let validation: String?
    let validateEvery: Int
    let keepsBest: Bool

    /// The options that give the settings, by the names that the run keeps them under.
    private static let options = [
        "removed": "--remove", "recipe.optimizer": "--optimizer", "recipe.rate": "--rate",
        "recipe.schedule": "--schedule", "recipe.warmup": "--warmup, --steps or --epochs",
        "recipe.steps": "--steps or --epochs",
        "recipe.batch": "--batch", "recipe.microBatch": "--micro-batch",
        "recipe.weightDecay": "--weight-decay", "recipe.clip": "--clip",
        "recipe.objective.distillation": "--distill", "recipe.objective.temperature": "--temperature",
        "recipe.objective.flips": "--flip", "recipe.objective.shift": "--shift",
        "recipe.objective.seed": "--seed", "values": "--train or --freeze", "batchNorms": "--batch-norm",
        "loss": "--loss", "samples": "--samples", "shards": "--shards", "teacher": "--teacher",
        "classes": "--head", "validation": "--validation", "validateEvery": "--validate-every",
        "keepsBest": "--keep",
    ]

    /// What settings are to those of the run that is resumed: none may change, for the schedule follows from its end.
    static func comparison(_ recorded: String, _ given: String) -> SettingsComparison {
        SettingsComparison(recorded, given, options: options)
    }
}
