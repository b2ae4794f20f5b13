internal import ComputationGraph
public import Foundation

/// How far a run is: what `status` and `/metrics` show.
public struct RunStatus: Codable, Hashable, Sendable {
    /// A worker as the coordinator sees it.
    public struct Worker: Codable, Hashable, Sendable {
        /// The machine's name.
        public var host: String
        /// The process number there.
        public var process: Int32
        /// Processor and engine, in free text.
        public var machine: String
        /// `greeting`, `loading` or `ready`.
        public var phase: String
        /// Tasks that it has not answered yet.
        public var tasksInFlight: Int
        /// Tasks whose scores it has sent.
        public var tasksDone: Int
        /// The shards that it holds.
        public var shards: [Int]

        /// A worker of this state.
        public init(
            host: String, process: Int32, machine: String, phase: String, tasksInFlight: Int, tasksDone: Int,
            shards: [Int]
        ) {
            self.host = host
            self.process = process
            self.machine = machine
            self.phase = phase
            self.tasksInFlight = tasksInFlight
            self.tasksDone = tasksDone
            self.shards = shards
        }
    }

    /// The level that is raced.
    public struct Level: Codable, Hashable, Sendable {
        /// The number of removals.
        public var number: Int
        /// Its expansions.
        public var expansions: Int
        /// Those that are finished or dropped.
        public var decided: Int
        /// Block evaluations done.
        public var blockEvaluations: Int
        /// The most that it can take.
        public var mostBlockEvaluations: Int
        /// Those that are likely left, by what has been dropped so far; `nil` in the status of an older program.
        public var likelyBlockEvaluationsLeft: Int?
        /// The best objective value so far.
        public var best: Double?

        /// A level of this state.
        public init(
            number: Int, expansions: Int, decided: Int, blockEvaluations: Int, mostBlockEvaluations: Int,
            likelyBlockEvaluationsLeft: Int? = nil, best: Double?
        ) {
            self.number = number
            self.expansions = expansions
            self.decided = decided
            self.blockEvaluations = blockEvaluations
            self.mostBlockEvaluations = mostBlockEvaluations
            self.likelyBlockEvaluationsLeft = likelyBlockEvaluationsLeft
            self.best = best
        }
    }

    /// A finished step of the path.
    public struct Step: Codable, Hashable, Sendable {
        /// The number of removals.
        public var step: Int
        /// The removed edge, `NODE:SLOT`.
        public var edge: String
        /// The exact loss.
        public var loss: Double

        /// A step.
        public init(step: Int, edge: String, loss: Double) {
            self.step = step
            self.edge = edge
            self.loss = loss
        }
    }

    /// How far a fine-tuning is.
    public struct Training: Codable, Hashable, Sendable {
        /// Steps that were taken.
        public var step: Int
        /// All steps.
        public var steps: Int
        /// The mean loss of the last step's samples; `nil` before the first.
        public var loss: Double?
        /// The last step's learning rate.
        public var rate: Double?
        /// The loss on the validation data when it was last measured.
        public var validationLoss: Double?
        /// The accuracy there; `nil` without labels.
        public var validationAccuracy: Double?
        /// Seconds until it is likely over; `nil` before that can be told.
        public var secondsLeft: Double?

        /// A fine-tuning before its first step.
        public init(step: Int, steps: Int) { (self.step, self.steps) = (step, steps) }

        /// How far it is, in a line.
        var plain: String {
            var line = "step \(step) of \(steps)"
            if let loss { line += ", loss \(NumberText.significant(loss))" }
            if let rate { line += ", rate \(NumberText.significant(rate))" }
            if let validationLoss { line += ", validation loss \(NumberText.significant(validationLoss))" }
            if let validationAccuracy { line += ", accuracy \(NumberText.percent(validationAccuracy))" }
            if let secondsLeft { line += ", about \(NumberText.duration(secondsLeft)) left" }
            return line
        }
    }

    /// The program's version.
    public var version: String
    /// The model as it was named.
    public var model: String
    /// The data as they were named.
    public var data: String
    /// Why the run is paused, a sentence; `nil` while it goes on.
    public var paused: String?
    /// Seconds since the search began.
    public var seconds = 0.0
    /// A fine-tuning; `nil` for a search.
    public var training: Training?
    /// Shards that the samples are divided into; `nil` before that is known.
    public var shards: Int?
    /// The unpruned model's loss, once it is known.
    public var baseLoss: Double?
    /// The best state of every finished level.
    public var path: [Step] = []
    /// The level in work.
    public var level: Level?
    /// Block evaluations of finished levels.
    public var finishedBlockEvaluations = 0
    /// Block evaluations per second of late; `nil` before anything was measured.
    public var rate: Double?
    /// At most so many seconds until the level is over, if bounds save nothing more.
    public var levelSecondsLeft: Double?
    /// So many seconds likely, by what has been dropped so far.
    public var levelLikelySecondsLeft: Double?
    /// The workers, those that came first.
    public var workers: [Worker] = []
    /// How many workers there are.
    public var workerCount = 0

    /// A run that begins.
    public init(version: String, model: String, data: String) {
        self.version = version
        self.model = model
        self.data = data
    }

    /// All block evaluations so far.
    public var blockEvaluations: Int { finishedBlockEvaluations + (level?.blockEvaluations ?? 0) }
}

extension RunStatus {
    /// The status as a JSON object. Infinite numbers are left out.
    public var json: Data {
        var status = self
        if status.level?.best?.isFinite == false { status.level?.best = nil }
        if status.training?.validationLoss?.isFinite == false { status.training?.validationLoss = nil }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return (try? encoder.encode(status)) ?? Data("{}".utf8)
    }

    /// The status for a terminal.
    ///
    /// - Parameter width: how many characters a line may have, as far as that can be.
    public func plain(width: Int) -> String {
        var lines = ["\(model) on \(data), \(NumberText.duration(seconds)) so far (espalier \(version))"]
        if let paused { lines.append(paused) }
        if let training {
            lines.append(training.plain)
        } else {
            lines.append(
                baseLoss.map { "unpruned: loss \(NumberText.significant($0))" }
                    ?? "the unpruned model is being measured")
        }
        lines += path.map {
            "step \($0.step): removed \(shown($0.edge)): loss \(NumberText.significant($0.loss))"
        }
        if let level, level.number > 0 {
            var line = "step \(level.number): \(NumberText.grouped(level.decided)) of "
            line += "\(NumberText.counted(level.expansions, "expansion")) decided, "
            line += "\(NumberText.grouped(level.blockEvaluations)) of at most "
            line += NumberText.counted(level.mostBlockEvaluations, "block evaluation")
            if let rate { line += ", \(Int(rate)) per second" }
            let most = levelSecondsLeft.map { "at most \(NumberText.duration($0))" }
            if let likely = levelLikelySecondsLeft {
                line += ", about \(NumberText.duration(likely)) left" + (most.map { " (\($0))" } ?? "")
            } else if let most {
                line += ", \(most) left"
            }
            lines.append(line)
        }
        lines.append(NumberText.counted(workerCount, "worker"))
        let text = ParagraphText.filled(lines.joined(separator: "\n") + "\n", width: width)
        guard !workers.isEmpty else { return text }
        var table = TextTable(
            ["host", "process", "phase", "in flight", "done", "holds", "machine"], lists: ["holds"],
            dispensable: ["machine"])
        for worker in workers {
            table.append([
                worker.host, "\(worker.process)", worker.phase, NumberText.grouped(worker.tasksInFlight),
                NumberText.grouped(worker.tasksDone), held(worker.shards), worker.machine,
            ])
        }
        return text + table.text(width: width)
    }

    /// A unit for people: of positions, their number.
    private func shown(_ unit: String) -> String { ComputationGraph.Unit(unit)?.shortDescription ?? unit }

    /// The shards that a worker holds, of how many: `shard 0 of 1`, `shards 0-3,7 of 8`.
    private func held(_ own: [Int]) -> String {
        guard !own.isEmpty else { return "no shard" }
        var ranges: [ClosedRange<Int>] = []
        for shard in own.sorted() {
            if let last = ranges.last, shard <= last.upperBound + 1 {
                ranges[ranges.count - 1] = last.lowerBound...max(shard, last.upperBound)
            } else {
                ranges.append(shard...shard)
            }
        }
        let names = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return (own.count == 1 ? "shard " : "shards ") + names.joined(separator: ",")
            + (shards.map { " of \($0)" } ?? "")
    }

    /// The status in Prometheus' text format, version 0.0.4.
    public var prometheus: String {
        var text = ""
        func metric(
            _ name: String, _ kind: String, _ help: String, _ samples: [(labels: String, value: Double)]
        ) {
            guard !samples.isEmpty else { return }
            text += "# HELP espalier_\(name) \(help)\n# TYPE espalier_\(name) \(kind)\n"
            for sample in samples {
                text += "espalier_\(name)\(sample.labels) \(RunStatus.number(sample.value))\n"
            }
        }
        func one(_ value: Double?) -> [(String, Double)] { value.map { [("", $0)] } ?? [] }
        metric("run_seconds", "gauge", "Seconds since the search or the training began.", one(seconds))
        metric(
            "paused", "gauge", "1 while the run waits for room on the disk.", one(paused == nil ? 0 : 1))
        if let training {
            metric("training_steps_total", "counter", "Training steps.", one(Double(training.step)))
            metric("training_steps", "gauge", "All steps of the training.", one(Double(training.steps)))
            metric(
                "training_loss", "gauge", "Mean loss of the last step's samples.", one(training.loss))
            metric("learning_rate", "gauge", "Learning rate of the last step.", one(training.rate))
            metric(
                "validation_loss", "gauge", "Loss on the validation data.", one(training.validationLoss))
            metric(
                "validation_accuracy", "gauge", "Accuracy on the validation data.",
                one(training.validationAccuracy))
            metric(
                "training_seconds_left", "gauge", "Seconds until the training is likely over.",
                one(training.secondsLeft))
        }
        metric("base_loss", "gauge", "Loss of the unpruned model.", one(baseLoss))
        metric(
            "loss", "gauge", "Exact loss of the best state of the last finished level.", one(path.last?.loss))
        if training == nil {
            metric("steps_total", "counter", "Finished levels.", one(Double(path.count)))
            metric("block_evaluations_total", "counter", "Block evaluations.", one(Double(blockEvaluations)))
        }
        metric("level", "gauge", "Removals of the level in work.", one(level.map { Double($0.number) }))
        metric(
            "level_expansions", "gauge", "Expansions of the level in work.",
            level.map {
                [
                    ("{state=\"decided\"}", Double($0.decided)),
                    ("{state=\"running\"}", Double($0.expansions - $0.decided)),
                ]
            } ?? [])
        metric(
            "level_seconds_left", "gauge", "Seconds until the level in work is likely over.",
            one(levelLikelySecondsLeft))
        metric(
            "tasks_in_flight", "gauge", "Tasks that workers have and have not answered.",
            one(Double(workers.reduce(0) { $0 + $1.tasksInFlight })))
        metric(
            "workers", "gauge", "Connected workers.",
            ["greeting", "loading", "ready"].map { phase in
                ("{phase=\"\(phase)\"}", Double(workers.count { $0.phase == phase }))
            })
        metric(
            "worker_tasks_total", "counter", "Tasks whose scores a worker has sent.",
            workers.map {
                ("{host=\"\(RunStatus.escaped($0.host))\",process=\"\($0.process)\"}", Double($0.tasksDone))
            })
        return text
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }

    private static func escaped(_ label: String) -> String {
        label.flatMap { character -> [Character] in
            switch character {
            case "\\": ["\\", "\\"]
            case "\"": ["\\", "\""]
            case "\n": ["\\", "n"]
            default: [character]
            }
        }.reduce(into: "") { $0.append($1) }
    }
}
