internal import ComputationGraph
internal import Coordination
public import Foundation
public import Report
internal import Search
internal import Synchronization

/// What is known of a run while it goes on. Any thread may write and read.
public final class StatusBoard: Sendable {
    private struct State {
        var status: RunStatus
        var began = ContinuousClock.now
        var workers: (@Sendable () -> [WorkerStatus])?
        /// Evaluations at earlier times, for the rate.
        var marks: [(at: ContinuousClock.Instant, evaluations: Int)] = []
        /// What was likely left of a level when so much of it was done.
        var likely: (level: Int, at: ContinuousClock.Instant, evaluations: Int, left: Int)?
    }

    private let state: Mutex<State>
    /// The most workers that are listed one by one; all are counted.
    private static let listedWorkers = 1000

    /// A board of a run that begins.
    public init(model: String, data: String) {
        state = Mutex(State(status: RunStatus(version: Espalier.version, model: model, data: data)))
    }

    /// The run now.
    public var status: RunStatus {
        var (status, workers) = state.withLock { state in
            var status = state.status
            let now = ContinuousClock.now
            status.seconds = (now - state.began) / .seconds(1)
            if let first = state.marks.first, now - first.at > .milliseconds(500) {
                let done = Double(status.blockEvaluations - first.evaluations)
                let rate = max(0, done / ((now - first.at) / .seconds(1)))
                status.rate = rate
                if let level = status.level, rate > 0 {
                    status.levelSecondsLeft =
                        Double(level.mostBlockEvaluations - level.blockEvaluations) / rate
                    status.levelLikelySecondsLeft = level.likelyBlockEvaluationsLeft.map { Double($0) / rate }
                }
            }
            return (status, state.workers)
        }
        let present = workers?() ?? []
        status.workerCount = present.count
        status.workers = present.prefix(StatusBoard.listedWorkers).map { worker in
            RunStatus.Worker(
                host: worker.hello?.host ?? "", process: worker.hello?.process ?? 0,
                machine: worker.hello?.machine ?? "", phase: worker.phase.rawValue,
                tasksInFlight: worker.outstanding, tasksDone: worker.computed, shards: worker.shards.sorted())
        }
        return status
    }

    /// The run now, as a JSON object. Infinite numbers are left out.
    public var json: Data {
        var status = status
        if status.level?.best?.isFinite == false { status.level?.best = nil }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return (try? encoder.encode(status)) ?? Data("{}".utf8)
    }

    /// Says where the workers are asked for.
    func watch(_ workers: (@Sendable () -> [WorkerStatus])?) { state.withLock { $0.workers = workers } }

    /// The run waits, for this reason; with `nil` it goes on.
    func paused(_ reason: String?) { state.withLock { $0.status.paused = reason } }

    func advanced(_ progress: LevelProgress) {
        state.withLock { state in
            let now = ContinuousClock.now
            // It takes a look at every expansion: not after each of many results.
            let known = state.likely.map { $0.level == progress.level && now - $0.at < .milliseconds(500) }
            if known != true {
                state.likely = (progress.level, now, progress.evaluations, progress.likelyLeft)
            }
            state.status.level = RunStatus.Level(
                number: progress.level, expansions: progress.expansions,
                decided: progress.expansions - progress.running, blockEvaluations: progress.evaluations,
                mostBlockEvaluations: progress.most,
                likelyBlockEvaluationsLeft: state.likely.map {
                    max(0, $0.left - (progress.evaluations - $0.evaluations))
                }, best: progress.best)
            guard state.marks.last.map({ now - $0.at > .seconds(1) }) ?? true else { return }
            state.marks.append((now, state.status.blockEvaluations))
            if state.marks.count > 30 { state.marks.removeFirst() }
        }
    }

    func finished(level: Int, outcome: LevelOutcome) {
        state.withLock { state in
            state.status.level = nil
            state.status.finishedBlockEvaluations += outcome.work.blockEvaluations
            guard let best = outcome.best.first else { return }
            if level == 0 {
                state.status.baseLoss = best.loss
            } else {
                state.status.path.append(
                    RunStatus.Step(step: level, edge: best.unit.map(\.description) ?? "", loss: best.loss))
            }
        }
    }
}
