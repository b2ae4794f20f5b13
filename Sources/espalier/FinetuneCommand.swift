internal import ArgumentParser
internal import ComputationGraph
internal import Foundation
internal import Pruning
internal import Report
internal import Training

struct FinetuneCommand: AsyncParsableCommand, MeasuringCommand, TeamCommand {
    static let configuration = CommandConfiguration(
        commandName: "finetune",
        abstract: "Train what is left of a model, and write the trained model.",
        discussion: """
              espalier finetune pruned.onnx --data train.npz --teacher model.onnx
              espalier finetune model.onnx --remove 31:0 --data train.npz --epochs 20
              espalier finetune model.onnx --head 5 --data other-task.npz

            The weights are the same to the last bit for any number of workers, after any failure and any --resume; their \
            SHA-256 stands in the summary. Where the unpruned model is known (--teacher, or --remove), its outputs teach beside \
            the labels, or alone where there are none.

            Defaults follow the literature on retraining pruned networks: a rate that is warmed up and falls to 0 along a \
            cosine from a large value (Renda et al. 2020, Le & Hua 2021), momentum 0.9, no weight decay of biases and norms.
            """)

    @OptionGroup var argument: ModelArgument
    @OptionGroup(title: "Data") var data: DataOptions
    @OptionGroup(title: "Loss") var loss: LossOptions
    @OptionGroup var removal: RemovalOptions
    @OptionGroup var replacing: ReplaceOption
    @OptionGroup(title: "Training") var training: TrainingArguments
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Data that are never trained on: they are measured along the way, and the weights that do best on them are kept.",
            valueName: "data"), completion: .file(extensions: ["npz"]))
    var validation: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Steps between two measurements on the validation data. (default: an epoch)", valueName: "N"))
    var validateEvery: Int?
    @Option(
        name: .long,
        help: ArgumentHelp("The weights to keep: best (on the validation data) or last.", valueName: "which"))
    var keep = Keeping.best
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The model whose outputs teach, mostly the unpruned one. (default with --remove: the model itself)",
            valueName: "model"), completion: .file(extensions: ["onnx"]))
    var teacher: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Replace the last linear layer by a fresh one for so many classes: transfer to another task.",
            valueName: "classes"))
    var head: Int?
    @OptionGroup(title: "Workers") var local: LocalWorkersOption
    @OptionGroup(title: "Workers on other machines") var cluster: ClusterOptions
    @OptionGroup var metrics: MetricsOption
    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "The folder that keeps the run. (default: espalier-run-MODEL-finetuned)", valueName: "folder"),
        completion: .directory)
    var folder: String?
    @OptionGroup var going: ResumeOptions
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where to write the trained model. (default: trained.onnx in the run's folder)", valueName: "file"
        ), completion: .file())
    var output: String?
    @OptionGroup var log: LogOption
    @OptionGroup var json: JSONOption

    /// Which weights are kept.
    enum Keeping: String, ExpressibleByArgument, CaseIterable { case best, last }

    func validate() throws {
        _ = try measurement()
        if let head, head < 2 { throw ValidationError("--head must be at least 2 classes") }
        if let validateEvery, validateEvery < 1 {
            throw ValidationError("--validate-every must be at least 1")
        }
        if head != nil, teacher != nil || (training.distill ?? 0) > 0 {
            throw ValidationError("--head and a teacher exclude each other: its classes are others")
        }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(
                beside: [output], given: given(models: [teacher], data: [validation]))
            var options = FinetuneOptions(
                model: argument.model, measurement: try measurement(workers: sharingWorkers),
                mask: removal.mask.replacing(with: replacing.replace), validation: validation,
                teacher: teacher,
                classes: head, epochs: training.epochCount, recipe: training.recipe,
                distillation: training.distill, warmup: training.warmup, train: training.train,
                freeze: training.freeze, normalisesByBatch: training.batchNorm, keepsBest: keep == .best,
                validateEvery: validateEvery,
                workers: localWorkers, remote: try cluster.remote(),
                metrics: metrics.metrics,
                folder: folder ?? FinetuneOptions.defaultFolder(for: argument.model), resumes: going.resume,
                output: output, commandLine: Invocation.commandLine, logger: log.logger("espalier"))
            options.allowsOtherVersion = going.allowOtherVersion
            let display = FinetuneDisplay()
            let summary: FinetuneSummary
            do {
                summary = try await FinetuneRun.started(
                    options, interruption: Leaving.interruption(), observer: display
                ).perform()
            } catch is Interrupted {
                StandardError.writeInterruption(
                    "; how far the training was is kept: go on with 'espalier finetune --resume --run \(options.folder)'"
                )
                throw ExitStatus.interrupted
            }
            display.clear()
            if let path = json.path { try JSONOutput.write(summary, to: path) }
            if !json.takesStandardOutput { StandardOutput.writeSentences(summary.text) }
        }
    }
}

/// The options that say how weights are trained.
struct TrainingArguments: ParsableArguments {
    @Option(name: .long, help: "How many times all samples are used. (default: 10)")
    var epochs: Int?
    @Option(name: .long, help: ArgumentHelp("The number of steps, in place of epochs.", valueName: "N"))
    var steps: Int?
    @Option(name: .long, help: ArgumentHelp("Samples of a step.", valueName: "N"))
    var batch = 64
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Samples that are computed together: decides how much memory a step takes, how sums are rounded, and how many "
                + "workers can share a step.", valueName: "N"))
    var microBatch = 16
    @Option(name: .long, help: "sgd or adamw.")
    var optimizer = OptimizerName.adamw
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The largest learning rate. (default: 0.001 for adamw, 0.02 for sgd)", valueName: "X"))
    var rate: Double?
    @Option(name: .long, help: "How the rate falls: cosine, linear or constant.")
    var schedule = ScheduleName.cosine
    @Option(
        name: .long,
        help: ArgumentHelp("The share of the steps over which the rate rises.", valueName: "share"))
    var warmup = 0.05
    @Option(name: .long, help: ArgumentHelp("The momentum of sgd.", valueName: "X"))
    var momentum = 0.9
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Weight decay, of matrices and kernels alone. (default: 0.01 for adamw, 0.0005 for sgd)",
            valueName: "X"))
    var weightDecay: Double?
    @Option(
        name: .long,
        help: ArgumentHelp("Shorten gradients to this L2 norm; 0 for never.", valueName: "X"))
    var clip = 1.0
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The teacher's share of the loss. (default: 0.5 beside labels, 1 without)", valueName: "share"))
    var distill: Double?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What logits are divided by before they are compared with the teacher's.", valueName: "T"))
    var temperature = 2.0
    @Flag(name: .long, help: "Mirror half of the images, left to right.")
    var flip = false
    @Option(
        name: .long,
        help: ArgumentHelp("Move images by up to so many pixels; what comes in is 0.", valueName: "N"))
    var shift = 0
    @Flag(
        name: .long,
        help: ArgumentHelp(
            "Normalise by the batch while training: in batch normalisations, and behind convolutions into which the export folded "
                + "one. The file gets running statistics, folded again."))
    var batchNorm = false
    @Option(name: .long, help: "Decides the order of the samples, and what is done to images.")
    var seed: UInt64 = 0
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Train the parameters whose names have a match of this regular expression; 'inspect --parameters' lists them.",
            valueName: "regex"))
    var train: String?
    @Option(
        name: .long,
        help: ArgumentHelp("Leave those whose names have a match as they are.", valueName: "regex"))
    var freeze: String?

    enum ScheduleName: String, ExpressibleByArgument, CaseIterable {
        case cosine, linear, constant

        var schedule: RateSchedule {
            switch self {
            case .cosine: .cosine
            case .linear: .linear
            case .constant: .constant
            }
        }
    }

    enum OptimizerName: String, ExpressibleByArgument, CaseIterable { case sgd, adamw }

    func validate() throws {
        if epochs != nil, steps != nil { throw ValidationError("--epochs and --steps exclude each other") }
        if let epochs, epochs < 1 { throw ValidationError("--epochs must be at least 1") }
        if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
        if batch < 1 { throw ValidationError("--batch must be at least 1") }
        if microBatch < 1 { throw ValidationError("--micro-batch must be at least 1") }
        if let rate, !(rate > 0 && rate.isFinite) { throw ValidationError("--rate must be greater than 0") }
        if !(0...1).contains(warmup) { throw ValidationError("--warmup must be a share between 0 and 1") }
        if !(0..<1).contains(momentum) { throw ValidationError("--momentum must be at least 0 and below 1") }
        if let weightDecay, !(weightDecay >= 0 && weightDecay.isFinite) {
            throw ValidationError("--weight-decay must be a number not below 0")
        }
        if !(clip >= 0 && clip.isFinite) { throw ValidationError("--clip must be a number not below 0") }
        if let distill, !(0...1).contains(distill) {
            throw ValidationError("--distill must be a share between 0 and 1")
        }
        if !(temperature > 0 && temperature.isFinite) {
            throw ValidationError("--temperature must be greater than 0")
        }
        if !(0...64).contains(shift) { throw ValidationError("--shift must be between 0 and 64") }
    }

    /// The epochs that decide the number of steps.
    var epochCount: Int? { steps == nil ? epochs ?? 10 : nil }

    /// The recipe, but for what follows from model and data.
    var recipe: TrainingRecipe {
        let isAdam = optimizer == .adamw
        return TrainingRecipe(
            optimizer: isAdam ? .usualAdamW : .sgd(momentum: momentum), rate: rate ?? (isAdam ? 0.001 : 0.02),
            schedule: schedule.schedule, steps: steps ?? 1, batch: batch, microBatch: microBatch,
            weightDecay: weightDecay ?? (isAdam ? 0.01 : 0.0005), clip: clip == 0 ? nil : clip,
            objective: TrainingObjective(
                distillation: 0, temperature: temperature, flips: flip, shift: shift, seed: seed))
    }
}

/// Shows a training's progress on standard error.
final class FinetuneDisplay: FinetuneObserver {
    func advanced(_ progress: ProgressLine) { StandardError.show { progress } }
    func measured(_ text: String) { noted(text) }
    func noted(_ text: String) { StandardError.write(text + "\n") }

    /// Takes the line away.
    func clear() { StandardError.clear() }
}
