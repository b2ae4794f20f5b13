internal import Cluster
internal import ComputationGraph
internal import Computations
internal import Coordination
internal import Datasets
internal import Engine
internal import Foundation
internal import Journal
internal import ONNX
public import Report
internal import Search
internal import Training
internal import Work

/// One `finetune`: trains what is left of a model, keeps how far it is, writes the trained model and checks it.
public final class FinetuneRun {
    private let options: FinetuneOptions
    private let recipe: TrainingRecipe
    private let parameters: [TrainableParameter]
    private let layout: TrainedLayout
    private let board: StatusBoard
    private var status: RunStatus.Training
    private var workload: Workload
    private let teacher: (bytes: [UInt8], network: Network)?
    private let validation: ValidationSet?
    private let validateEvery: Int
    /// What is worth a line of the data, also in the report.
    private let overlap: String?
    private let journal: RunJournal
    private let interruption: Interruption
    private let observer: any FinetuneObserver
    private var state: TrainingCheckpoint
    private let start = ContinuousClock.now
    private var lastKept = ContinuousClock.now

    /// How long a training goes on without keeping how far it is.
    private static let longestUnkept = Duration.seconds(30)

    /// Loads model and data, and opens the run's folder.
    ///
    /// - Throws: errors that name the file, array, node, parameter or folder.
    public static func started(
        _ options: FinetuneOptions, interruption: Interruption, observer: any FinetuneObserver
    ) throws -> FinetuneRun {
        let isNew = !options.resumes && !RunJournal.exists(in: options.folder)
        // A file of that name that was there before is no part of the run.
        let isFresh = options.classes != nil && access(options.folder + "/start.onnx", F_OK) != 0
        do {
            return try FinetuneRun(options, interruption: interruption, observer: observer)
        } catch {
            if isNew, isFresh, !RunJournal.exists(in: options.folder) {
                unlink(options.folder + "/start.onnx")
                rmdir(options.folder)
            }
            throw error
        }
    }

    private init(
        _ options: FinetuneOptions, interruption: Interruption, observer: any FinetuneObserver
    ) throws {
        (self.options, self.interruption, self.observer) = (options, interruption, observer)
        if let output = options.output { try OutputFile.checkWritable(output) }
        try OutputFile.checkFolder(options.folder)
        if !options.resumes, !RunJournal.exists(in: options.folder) {
            try OutputFile.checkFresh(
                options.folder, ["trained.onnx", "start.onnx", "summary.json", "curve.csv", "checkpoint"])
        }
        let model = try DiskFullRetry(interruption: interruption, board: nil) { observer.noted($0) }.retrying
        {
            try FinetuneRun.startingModel(options)
        }
        workload = try Workload(model: model, options: options.measurement)
        for note in workload.notes { observer.noted(note) }
        try workload.checkRemovable(options.mask)
        let graph = workload.graph
        parameters = try graph.trainableParameters(
            train: options.train, freeze: options.freeze, under: options.mask)
        layout = TrainedLayout(
            parameters: parameters,
            batchNorms: options.normalisesByBatch
                ? graph.batchNorms(training: parameters.map(\.value), under: options.mask) : [])
        if options.normalisesByBatch, layout.batchNorms.isEmpty {
            throw InputError(
                "\(graph.model.path): --batch-norm has nothing to do: there is neither a batch normalisation nor a convolution "
                    + "with a bias into which one may have been folded, of which all is trained")
        }
        workload.largestGradient = GradientSum.byteCount(
            elements: layout.parts.reduce(0) { $0 + $1.count })
        let limit = WireLimits(workload.division.sharding, resultBytes: workload.largestGradient).resultBytes
        if options.workers > 0 || options.remote != nil, workload.largestGradient > limit {
            throw InputError(
                "a gradient of \(workload.largestGradient) bytes is too large to travel (at most \(limit)): train in this "
                    + "process (--workers 0), or fewer parameters (--train, --freeze)")
        }
        teacher = try options.teacher.map { name in
            let path = try ModelSource.modelPath(name)
            return (
                try FinetuneRun.bytes(ofModel: path), try Network(ModelSource.graph(path))
            )
        }
        recipe = try FinetuneRun.recipe(options, workload)
        board = StatusBoard(model: options.model, data: options.measurement.data)
        status = RunStatus.Training(step: 0, steps: recipe.steps)
        let values = parameters.map(\.value)
        if let name = options.validation {
            var measurement = options.measurement
            measurement.data = name
            measurement.samples = nil
            let other = try Workload(model: model, options: measurement, measuring: workload.loss)
            validation = ValidationSet(other, mask: options.mask, teacher: teacher?.network)
        } else {
            validation = nil
        }
        let training = workload.dataset
        overlap = try validation.flatMap { try $0.overlap(with: training) }
        if let overlap { observer.noted("warning: " + overlap) }
        let perEpoch = (workload.division.measured + recipe.batch - 1) / recipe.batch
        validateEvery =
            options.validateEvery ?? max(1, min(max(perEpoch, recipe.steps / 100), recipe.steps / 10))
        let identity = try RunIdentity(
            workload, model: options.model,
            settings: FinetuneSettings(
                removed: options.mask.units.map(\.description), recipe: recipe, values: values,
                batchNorms: layout.batchNorms.isEmpty ? nil : layout.batchNorms.map(\.vertex),
                loss: workload.loss.text(for: graph), samples: workload.dataset.samples,
                shards: workload.division.sharding.shards,
                teacher: teacher.map { ContentHash.content(of: $0.bytes).hexadecimal },
                classes: options.classes,
                validation: try options.validation.map {
                    try ContentHash.ofFile(ModelSource.dataPath($0))
                }, validateEvery: validateEvery, keepsBest: options.keepsBest),
            commandLine: options.commandLine)
        let room = DiskFullRetry(interruption: interruption, board: board) { observer.noted($0) }
        journal = try RunJournal.opened(
            in: options.folder, identity, resumes: options.resumes,
            allowsOtherVersion: options.allowsOtherVersion, room, comparing: FinetuneSettings.comparison)
        state =
            try options.resumes
            ? TrainingCheckpoint.read(in: options.folder) ?? TrainingCheckpoint() : TrainingCheckpoint()
    }

    /// The model to begin with: with a fresh last layer, in the run's folder, where one is asked for.
    private static func startingModel(_ options: FinetuneOptions) throws -> String {
        guard let classes = options.classes else { return options.model }
        // Another run's beginning must not be lost before its folder is refused.
        if !options.resumes,
            FileManager.default.fileExists(atPath: options.folder + "/" + RunJournal.fileName)
        {
            throw JournalError.alreadyHoldsRun(folder: options.folder)
        }
        let graph = try ModelSource.graph(options.model)
        let seed = options.recipe.objective.seed
        let file = try graph.replacingHead(classes: classes) { HashedNumber.of(seed, 4, UInt64($0)) }
        try OutputFile.makeFolder(options.folder)
        let path = options.folder + "/start.onnx"
        try file.write(to: path)
        return path
    }

    /// A model's file as bytes, its weights within it.
    private static func bytes(ofModel path: String) throws -> [UInt8] {
        [UInt8](try ModelFile(contentsOf: path).serialized())
    }

    /// The recipe with what follows from model and data.
    private static func recipe(_ options: FinetuneOptions, _ workload: Workload) throws -> TrainingRecipe {
        var recipe = options.recipe
        if let fixed = workload.graph.fixedSamples(workload.dataset) {
            guard recipe.batch.isMultiple(of: fixed) else {
                throw InputError(
                    "the model was exported for batches of exactly \(fixed): --batch must be a multiple of that"
                )
            }
            recipe.microBatch = fixed
        }
        recipe.microBatch = min(recipe.microBatch, recipe.batch)
        let perEpoch = (workload.division.measured + recipe.batch - 1) / recipe.batch
        if let epochs = options.epochs { recipe.steps = epochs * perEpoch }
        recipe.warmup = Int((options.warmup * Double(recipe.steps)).rounded())
        let hasTeacher = options.classes == nil && (options.teacher != nil || !options.mask.isEmpty)
        let hasAnswers = !workload.loss.needsReference
        guard hasAnswers || hasTeacher else {
            throw InputError(
                options.classes == nil
                    ? "there is nothing to learn: the data have neither labels nor targets, and the model is its own teacher; "
                        + "give some, or --teacher the unpruned model"
                    : "a fresh last layer needs labels to learn from, and the data have none")
        }
        let share = options.distillation ?? (hasTeacher ? hasAnswers ? 0.5 : 1 : 0)
        guard share == 0 || hasTeacher else {
            throw InputError(
                "--distill needs a teacher: --teacher MODEL, or --remove, where the unpruned model teaches")
        }
        recipe.objective.distillation = hasAnswers ? share : 1
        return recipe
    }

    private var room: DiskFullRetry {
        DiskFullRetry(interruption: interruption, board: board) { [observer] in observer.noted($0) }
    }

    /// Trains, and writes the result.
    ///
    /// - Throws: `Interrupted` when the user stops it, `TrainingDivergence`; how far it was is kept.
    public func perform() async throws -> FinetuneSummary {
        do { return try await trainAndWrite() } catch {
            if !options.resumes, state.trainer.isEmpty, !(error is Interrupted) {
                journal.abandonWithoutResults(["start.onnx"])
            }
            throw error
        }
    }

    private func trainAndWrite() async throws -> FinetuneSummary {
        var metrics: MetricsServer?
        if let address = options.metrics {
            let server = try await MetricsServer(address: address, board: board)
            metrics = server
            observer.noted("metrics at http://\(server.address)/metrics")
        }
        defer { metrics?.stop() }
        let backend = EvaluationBackend(
            workers: options.workers, remote: options.remote, logger: options.logger,
            interruption: interruption, noted: { [observer] in observer.noted($0) }, board: board,
            progress: { _ in })
        let (weights, attendance) = try await backend.evaluate(workload, journal: UnkeptResults()) { runner in
            try await self.train(on: runner)
        }
        let chosen = options.keepsBest ? state.best : nil
        let elements = chosen?.elements ?? weights.elements
        let step = chosen?.step ?? recipe.steps
        let found = layout.parameters(of: elements)
        let trained = try workload.replacing(found)
        for warning in try trained.sizeWarnings() { observer.noted("warning: " + warning) }
        let model = try MaterialisedModel(options.mask, workload: trained)
        let inFolder = options.folder + "/trained.onnx"
        try room.retrying { try model.write(to: inFolder) }
        if let output = options.output { try room.retrying { try model.write(to: output) } }
        let summary = FinetuneSummary(
            model: options.model, output: options.output ?? inFolder, data: options.measurement.data,
            samples: workload.division.measured, validation: options.validation,
            validationSamples: validation?.samples, overlap: overlap,
            removed: options.mask.units.map(\.description), lossFunction: workload.loss.name,
            teacher: recipe.objective.distillation > 0 ? options.teacher ?? "the unpruned model" : nil,
            recipe: recipe, trainedParameters: layout.trainedElements,
            trainedTensors: parameters.count, batchNorms: layout.batchNorms.count, chosenStep: step,
            weights: ContentHash.content(
                of: TrainedWeights.content(of: found.sorted { $0.key < $1.key }.flatMap(\.value))
            ).hexadecimal,
            workers: attendance.workers, seconds: (ContinuousClock.now - start) / .seconds(1),
            curve: state.curve)
        try room.retrying { try JSONOutput.write(summary, to: options.folder + "/summary.json") }
        try room.retrying { try TextOutput.write(state.curve.csv, to: options.folder + "/curve.csv") }
        return summary
    }

    private func train(on runner: any WorkRunner) async throws -> TrainedWeights {
        let means = try await workload.measureMeans(for: options.mask.units, on: runner)
        var taught: ContentID?
        if let teacher { taught = try await runner.provide(teacher.bytes) }
        let elements = try startingElements()
        let subject = TrainingSubject(
            mask: options.mask, values: layout.values, elements: elements.count,
            batchNorms: layout.batchNorms.map(\.vertex), objective: recipe.objective, means: means,
            teacher: taught)
        let sharding = workload.division.sharding
        let weights = workload.division.weights
        var trainer = Trainer(
            subject, recipe,
            weights: TrainedWeights(elements, parts: layout.parts, optimizer: recipe.optimizer),
            shards: (0..<sharding.shards).map { sharding.shardRange($0).filter { weights[$0] > 0 } })
        if !state.trainer.isEmpty {
            do { try trainer.restore(state.trainer) } catch {
                throw InputError("\(options.folder): the checkpoint \(error)")
            }
            observer.noted("going on after step \(trainer.steps)")
        }
        if trainer.steps == 0 { try vet(trainer) }
        do {
            if state.curve.points.isEmpty { try measure(trainer, rate: 0) }
            let first = trainer.steps
            let began = ContinuousClock.now
            while trainer.steps < recipe.steps {
                try interruption.check()
                let step = try await trainer.step(on: runner)
                state.pending.loss += step.loss
                state.pending.norm = max(state.pending.norm, step.gradientNorm)
                state.pending.steps += 1
                let elapsed = (ContinuousClock.now - began) / .seconds(1)
                observer.advanced(
                    ProgressLine(
                        label: "training", unit: "steps", done: trainer.steps, total: recipe.steps,
                        doneBefore: first, elapsed: elapsed,
                        details: [
                            "loss \(NumberText.significant(step.loss))",
                            "rate \(NumberText.significant(step.rate))",
                        ]))
                (status.step, status.loss, status.rate) = (trainer.steps, step.loss, step.rate)
                status.secondsLeft =
                    elapsed / Double(trainer.steps - first) * Double(recipe.steps - trainer.steps)
                board.record(.trained(status))
                if trainer.steps % validateEvery == 0 || trainer.steps == recipe.steps {
                    try measure(trainer, rate: step.rate)
                } else if ContinuousClock.now - lastKept > FinetuneRun.longestUnkept {
                    try keep(trainer)
                }
            }
        } catch let error where error is Interrupted || error is ClusterError {
            try keep(trainer)
            throw error
        }
        return trainer.weights
    }

    /// The elements to begin with: the model's, and what normalisations need for the function to stay what it is.
    private func startingElements() throws -> [Float] {
        guard !layout.batchNorms.isEmpty else { return try workload.network.elements(of: layout.values) }
        let weights = workload.division.weights
        var left = FinetuneRun.mostNormedSamples
        let blocks = BlockList(naturalOrder: workload.division).samples.compactMap { block -> [Int]? in
            guard left > 0, block.contains(where: { weights[$0] > 0 }) else { return nil }
            left -= block.count
            return block
        }
        let start = try workload.evaluator().batchNormStart(
            layout.batchNorms, mask: options.mask, samples: blocks)
        return try layout.values.flatMap { try start.shifts[$0] ?? workload.network.elements(of: [$0]) }
            + start.elements
    }

    /// On so many samples, or a few more, normalisations that are put back leave the function as it is.
    private static let mostNormedSamples = 512

    /// Says which parameters no gradient reaches, and why; they stay as they are but for weight decay.
    ///
    /// - Throws: `EngineError` where no gradient reaches any.
    private func vet(_ trainer: Trainer) throws {
        let count = workload.graph.fixedSamples(workload.dataset) ?? 1
        let item = GradientItem(
            TrainingSubject(
                mask: options.mask, values: layout.values,
                elements: parameters.reduce(0) { $0 + $1.count }, objective: TrainingObjective()),
            weights: ContentID(sha256: [0], size: 1), step: 0, place: 0,
            microBatches: [SampleOrder.MicroBatch(shard: 0, samples: Array(0..<count))])
        let found = try workload.evaluator().untrainable(
            item, places: Array(0..<count),
            weights: Array(trainer.weights.elements.prefix(item.subject.elements)))
        guard let first = found.first else { return }
        let graph = workload.graph
        let reason = first.vertex.map {
            ": node \($0) (\(graph.vertices[$0].name), \(graph.vertices[$0].operation)) passes none"
        }
        observer.noted(
            "warning: no gradient reaches \(found.count) of \(parameters.count) parameters, "
                + "'\(graph.values[first.value].name)' among them" + (reason ?? ""))
    }

    /// Adds a point to the curve, and keeps how far the training is.
    private func measure(_ trainer: Trainer, rate: Double) throws {
        let measured = try validation?.measured(layout.parameters(of: trainer.weights.elements))
        let pending = state.pending
        let point = TrainingCurve.Point(
            step: trainer.steps,
            epoch: Double(trainer.steps * recipe.batch) / Double(workload.division.measured), rate: rate,
            trainingLoss: pending.steps > 0 ? pending.loss / Double(pending.steps) : nil,
            gradientNorm: pending.steps > 0 ? pending.norm : nil,
            validationLoss: measured.flatMap { $0.loss.isFinite ? $0.loss : nil },
            validationAccuracy: measured?.accuracy)
        status.step = trainer.steps
        (status.validationLoss, status.validationAccuracy) = (measured?.loss, measured?.accuracy)
        board.record(.trained(status))
        state.pending = TrainingCheckpoint.Pending()
        state.curve.points.append(point)
        if state.curve.best?.step == point.step { state.best = (point.step, trainer.weights.elements) }
        observer.measured(point.text)
        try keep(trainer)
    }

    private func keep(_ trainer: Trainer) throws {
        state.trainer = trainer.weights.checkpoint
        let state = state
        try room.retrying { try state.write(in: options.folder) }
        lastKept = .now
    }
}

/// Sees what happens in a fine-tuning, e.g. to show it.
public protocol FinetuneObserver: AnyObject, Sendable {
    /// A step was taken.
    func advanced(_ progress: ProgressLine)
    /// The weights were measured; with what is known of them in a line.
    func measured(_ line: String)
    /// Something is worth a line.
    func noted(_ line: String)
}
