internal import ComputationGraph
internal import Search

/// The record of a run: takes in events, and derives from them the run's status and metrics, its progress lines with the time
/// that is left, and its summary.
///
/// It is pure. It has no clock and writes nothing: whoever tells it an event says when that was, as the time since the record
/// was begun, and times never go back.
public struct RunRecord: Sendable {
    private let version: String
    private let model: String
    private let data: String
    private var setup: RunSetup?
    private var began: Duration?
    private var baseLoss: Double?
    private var levels: [RunSummary.LevelSummary] = []
    private var heldOut: [Variant: MeasuredState.Measurement] = [:]
    private var level: LevelInWork?
    private var pace = Pace()
    private var pause = Pause()
    private var training: RunStatus.Training?
    private var workers: [RunStatus.Worker] = []
    private var workerCount = 0
    /// The run's summary, once it has ended.
    public private(set) var summary: RunSummary?

    /// The record of a run that nothing has happened in yet.
    ///
    /// - Parameters:
    ///   - version: the program's version.
    ///   - model: the model as it was named.
    ///   - data: the data as they were named.
    public init(version: String, model: String, data: String) {
        self.version = version
        self.model = model
        self.data = data
    }

    /// Takes in an event.
    public mutating func reduce(_ event: RunEvent, at time: Duration) {
        switch event {
        case .began(let setup):
            var fresh = RunRecord(version: version, model: model, data: data)
            (fresh.pause, fresh.workers, fresh.workerCount) = (pause, workers, workerCount)
            (fresh.setup, fresh.began) = (setup, time)
            self = fresh
        case .advanced(let progress): advance(to: progress, at: pause.workingTime(at: time))
        case .levelFinished(let number, let states, let work):
            if number == 0 { baseLoss = states.first?.loss }
            levels.append(
                RunSummary.LevelSummary(number: number, work: work, kept: states.map { measured($0) }))
            finishLevel(work)
        case .heldOutMeasured(let variant, let measurement, _):
            heldOut[variant] = measurement
            for index in levels.indices { levels[index].attach(measurement, to: variant) }
        case .trained(let training):
            began = began ?? time
            self.training = training
        case .workers(let workers, let count): (self.workers, workerCount) = (workers, count)
        case .paused(let reason): pause.begin(reason, at: time)
        case .resumed: pause.end(at: time)
        case .noted: break
        case .ended(let ending): end(ending, at: time)
        }
    }

    // MARK: Reducing

    private func measured(_ state: State, report: LossReport? = nil) -> MeasuredState {
        MeasuredState(
            state, baseLoss: baseLoss ?? state.loss, countedLabels: setup?.countedLabels, report: report,
            heldOut: heldOut[state.variant])
    }

    private mutating func advance(to progress: LevelProgress, at time: Duration) {
        if level?.number != progress.level {
            // A level that was the last one and kept nothing is not told as finished.
            level = LevelInWork(progress, at: time)
        } else {
            level?.advance(to: progress, at: time)
        }
        pace.mark(computedEvaluations, at: time)
    }

    /// The block evaluations that this run computed itself: not those taken over from an earlier one.
    private var computedEvaluations: Int { pace.finished + (level?.computed ?? 0) }

    private mutating func finishLevel(_ work: WorkCount) {
        pace.finished += level?.computed(of: work) ?? 0
        level = nil
    }

    private mutating func end(_ ending: RunEnding, at time: Duration) {
        // The last level is not told as finished when it shows that nothing better comes; its work counts.
        for work in ending.result.work.dropFirst(levels.count) {
            levels.append(RunSummary.LevelSummary(number: levels.count, work: work, kept: []))
            finishLevel(work)
        }
        level = nil
        guard let setup, let base = levels.first?.kept.first else { return }
        for index in levels.indices { levels[index].scale(by: ending.report) }
        summary = RunSummary(
            setup: setup, base: base.scaled(by: ending.report), levels: levels, ending: ending,
            seconds: (time - (began ?? .zero)) / .seconds(1)
        ) { measured($0, report: ending.report) }
    }

    // MARK: Status

    /// The run as `status` and `/metrics` show it.
    public func status(at time: Duration) -> RunStatus {
        var status = RunStatus(version: version, model: model, data: data)
        status.paused = pause.reason
        status.seconds = summary?.seconds ?? began.map { (time - $0) / .seconds(1) } ?? 0
        status.training = training
        status.baseLoss = baseLoss
        status.shards = setup?.shards
        status.path = levels.compactMap { level in
            guard level.number > 0, let best = level.kept.first else { return nil }
            return RunStatus.Step(
                step: level.number, edge: best.unit.map(\.description) ?? "", loss: best.loss)
        }
        status.level = level?.status
        status.finishedBlockEvaluations = levels.reduce(0) { $0 + $1.work.blockEvaluations }
        status.rate = pace.rate(of: computedEvaluations, at: pause.workingTime(at: time))
        if let level, let rate = status.rate, rate > 0 {
            status.levelSecondsLeft = Double(level.most - level.done) / rate
            status.levelLikelySecondsLeft = level.likelyLeft.map { Double($0) / rate }
        }
        status.workers = workers
        status.workerCount = workerCount
        return status
    }

    // MARK: Lines

    /// How far the level in work is, in one line; `nil` between levels.
    public func progress(at time: Duration) -> ProgressLine? {
        guard let level else { return nil }
        let left = level.likelyLeft ?? 0
        let elapsed = (pause.workingTime(at: time) - level.start) / .seconds(1)
        return ProgressLine(
            label: level.number == 0 ? "measuring the unpruned model" : "step \(level.number)",
            unit: "block evaluations", done: level.done, total: level.done + left,
            doneBefore: level.doneBefore,
            // Until then there is too little to tell a rate from.
            elapsed: elapsed > 0.5 ? elapsed : 0, isEstimate: left > 0,
            details: level.number == 0
                ? []
                : [
                    "\(NumberText.grouped(level.decided)) of "
                        + "\(NumberText.counted(level.expansions, "candidate")) decided"
                ])
    }

    /// What is said of an event that was just taken in; `nil` for one that is worth no line.
    ///
    /// A level's line waits for the measurement of its best state on held-out data, where there are any.
    public func line(about event: RunEvent) -> String? {
        switch event {
        case .noted(let message): message
        case .levelFinished(let number, let states, _):
            setup?.heldOut != nil && !states.isEmpty ? nil : levelLine(number)
        case .heldOutMeasured(_, _, let number): number.flatMap { levelLine($0) }
        case .began, .advanced, .trained, .workers, .paused, .resumed, .ended: nil
        }
    }

    private func levelLine(_ number: Int) -> String? {
        guard let level = levels.last(where: { $0.number == number }) else { return nil }
        guard let best = level.kept.first else {
            return "step \(number): no removal keeps within the limits"
        }
        let suffix = best.heldOut.map { ", held-out \($0.brief)" } ?? ""
        guard number > 0 else { return "unpruned: loss \(NumberText.significant(best.loss))\(suffix)" }
        let work = level.work
        let saved = work.bruteForceBlockEvaluations - work.blockEvaluations
        let share = saved * 100 / max(work.bruteForceBlockEvaluations, 1)
        let others = best.alongside.isEmpty ? "" : " and \(best.alongside.count) more"
        return
            "step \(number): removed \(best.unit.map(shown) ?? "")\(others): loss "
            + "\(NumberText.significant(best.loss)) (\(NumberText.change(best.lossChange))), "
            + "\(NumberText.counted(work.candidates, "candidate")), \(share) % skipped\(suffix)"
    }

    /// A removal with the names that the file gives to it.
    private func shown(_ unit: Unit) -> String {
        setup?.names(unit)?.described ?? unit.shortDescription
    }
}

/// The level in work: the sum of its races, of which one runs.
private struct LevelInWork {
    let number: Int
    /// Since when it has been in work, and what was done then.
    let start: Duration
    private(set) var doneBefore: Int
    /// What other runs or searches computed of it.
    private var takenOver = 0
    /// The races that are over.
    private var earlierExpansions = 0
    private var earlierEvaluations = 0
    private var earlierBest: Double?
    /// The race that runs, without its estimate, which would hold all of the race.
    private var first: Variant?
    private var running = 0
    private var raced = 0
    private var evaluations = 0
    private var mostOfRace = 0
    private var bestOfRace: Double?
    private var estimate: (at: Duration, evaluations: Int, left: Int)?

    /// How long an estimate of what is left holds: it takes a look at every expansion, so not after each of many results.
    private static let estimateHolds = Duration.milliseconds(500)

    init(_ progress: LevelProgress, at time: Duration) {
        number = progress.level
        start = time
        doneBefore = progress.evaluations
        first = progress.first
        takenOver = LevelInWork.takenOver(progress)
        see(progress, at: time)
    }

    mutating func advance(to progress: LevelProgress, at time: Duration) {
        if progress.first != first {
            earlierExpansions += raced
            earlierEvaluations += evaluations
            earlierBest = best
            first = progress.first
            estimate = nil
            let others = LevelInWork.takenOver(progress)
            takenOver += others
            doneBefore += others
        }
        see(progress, at: time)
    }

    private mutating func see(_ progress: LevelProgress, at time: Duration) {
        (running, raced) = (progress.running, progress.expansions)
        (evaluations, mostOfRace) = (progress.evaluations, progress.most)
        bestOfRace = progress.best
        if estimate.map({ time - $0.at >= LevelInWork.estimateHolds }) ?? true {
            estimate = (time, progress.evaluations, progress.likelyLeft)
        }
    }

    /// What a race had of an earlier run when it was first seen. A race in one process is first seen with the result of one
    /// task, its own; one with more results took them over.
    private static func takenOver(_ progress: LevelProgress) -> Int {
        progress.tasks > 1 ? progress.evaluations : 0
    }

    var expansions: Int { earlierExpansions + raced }
    var decided: Int { expansions - running }
    var done: Int { earlierEvaluations + evaluations }
    /// The most that the level takes, with what the races that are over have taken.
    var most: Int { earlierEvaluations + mostOfRace }
    var likelyLeft: Int? { estimate.map { max(0, $0.left - (evaluations - $0.evaluations)) } }
    var best: Double? { [earlierBest, bestOfRace].compactMap { $0 }.min() }

    /// What this run computed of the level.
    var computed: Int { done - takenOver }

    /// What this run computed of the level, which is over. The last results come with the end alone; but a race that was never
    /// seen was taken over whole.
    func computed(of work: WorkCount) -> Int {
        work.candidates == expansions ? work.blockEvaluations - takenOver : computed
    }

    var status: RunStatus.Level {
        RunStatus.Level(
            number: number, expansions: expansions, decided: decided, blockEvaluations: done,
            mostBlockEvaluations: most, likelyBlockEvaluationsLeft: likelyLeft, best: best)
    }
}

/// How many block evaluations a second are computed of late.
private struct Pace {
    /// Those of the levels that are over.
    var finished = 0
    /// How many there were at earlier times.
    private var marks: [(at: Duration, evaluations: Int)] = []

    private static let keptMarks = 30
    private static let markEvery = Duration.seconds(1)
    private static let shortest = Duration.milliseconds(500)

    mutating func mark(_ evaluations: Int, at time: Duration) {
        guard marks.last.map({ time - $0.at > Pace.markEvery }) ?? true else { return }
        marks.append((time, evaluations))
        if marks.count > Pace.keptMarks { marks.removeFirst() }
    }

    /// The rate since the first mark that is kept; `nil` while there is too little to tell it from.
    func rate(of evaluations: Int, at time: Duration) -> Double? {
        guard let first = marks.first, time - first.at > Pace.shortest else { return nil }
        return max(0, Double(evaluations - first.evaluations) / ((time - first.at) / .seconds(1)))
    }
}

/// Pauses, during which nothing is computed, so that they count for no rate.
private struct Pause {
    private(set) var reason: String?
    private var since: Duration?
    private var earlier = Duration.zero

    mutating func begin(_ reason: String, at time: Duration) {
        self.reason = reason
        since = since ?? time
    }

    mutating func end(at time: Duration) {
        earlier += since.map { time - $0 } ?? .zero
        (reason, since) = (nil, nil)
    }

    /// The time without all pauses.
    func workingTime(at time: Duration) -> Duration { time - earlier - (since.map { time - $0 } ?? .zero) }
}
