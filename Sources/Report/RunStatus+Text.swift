extension RunStatus {
    /// The status for a terminal.
    public var plain: String {
        var lines = ["\(model) on \(data), \(NumberText.duration(seconds)) so far (espalier \(version))"]
        if let paused { lines.append(paused) }
        lines.append(baseLoss.map { "unpruned: loss \($0)" } ?? "the unpruned model is being measured")
        lines += path.map { "step \($0.step): removed \($0.edge), loss \($0.loss)" }
        if let level, level.number > 0 {
            var line = "step \(level.number): \(level.decided) of \(level.expansions) expansions decided, "
            line += "\(level.blockEvaluations) of at most \(level.mostBlockEvaluations) block evaluations"
            if let rate { line += ", \(Int(rate)) per second" }
            let most = levelSecondsLeft.map { "at most \(NumberText.duration($0))" }
            if let likely = levelLikelySecondsLeft {
                line += ", about \(NumberText.duration(likely)) left" + (most.map { " (\($0))" } ?? "")
            } else if let most {
                line += ", \(most) left"
            }
            lines.append(line)
        }
        lines.append(workerCount == 1 ? "1 worker" : "\(workerCount) workers")
        for worker in workers {
            let shards = worker.shards.map(\.description).joined(separator: ",")
            lines.append(
                "  \(worker.host) process \(worker.process): \(worker.phase), \(worker.tasksInFlight) in flight, "
                    + "\(worker.tasksDone) done, shards \(shards.isEmpty ? "none" : shards), \(worker.machine)"
            )
        }
        return lines.joined(separator: "\n") + "\n"
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
        metric("run_seconds", "gauge", "Seconds since the search began.", one(seconds))
        metric(
            "paused", "gauge", "1 while the run waits for room on the disk.", one(paused == nil ? 0 : 1))
        metric("base_loss", "gauge", "Loss of the unpruned model.", one(baseLoss))
        metric(
            "loss", "gauge", "Exact loss of the best state of the last finished level.", one(path.last?.loss))
        metric("steps_total", "counter", "Finished levels.", one(Double(path.count)))
        metric("block_evaluations_total", "counter", "Block evaluations.", one(Double(blockEvaluations)))
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
