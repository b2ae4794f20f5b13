internal import ComputationGraph
internal import Pruning
internal import Report
internal import Search
internal import Synchronization

/// Shows a search's progress on standard error: on a terminal a line that is written over, otherwise a line per level and,
/// where a level takes long, one a minute.
final class ProgressDisplay: PruneObserver {
    private struct State {
        var level: Int?
        var pace = Pace()
        var line = ProgressLineWriter()
    }

    private let state = Mutex(State())
    private let clock = ContinuousClock()

    func advanced(_ progress: LevelProgress) {
        state.withLock { state in
            let now = clock.now
            if state.level != progress.level {
                state.level = progress.level
                state.pace = Pace(start: progress.evaluations, at: now)
            }
            state.line.show(now: now) { description(of: progress, pace: state.pace, now: now) }
        }
    }

    func finished(level: Int, outcome: LevelOutcome, baseLoss: Double, heldOut: Evaluation.Measured?) {
        clear()
        state.withLock { $0.level = nil }
        guard let best = outcome.best.first else {
            StandardError.write("step \(level): no removal keeps within the limits\n")
            return
        }
        let suffix = heldOut.map { ", held-out \($0.brief)" } ?? ""
        let saved = outcome.work.bruteForceBlockEvaluations - outcome.work.blockEvaluations
        let share = saved * 100 / max(outcome.work.bruteForceBlockEvaluations, 1)
        if level == 0 {
            StandardError.write("unpruned: loss \(best.loss)\(suffix)\n")
        } else {
            let edge = best.unit.map(\.description) ?? ""
            let change = best.loss - baseLoss
            StandardError.write(
                "step \(level): removed \(edge), loss \(best.loss) (\(change < 0 ? "" : "+")\(change)), "
                    + "\(outcome.work.candidates) candidates, \(outcome.work.blockEvaluations) block evaluations "
                    + "(\(share)% saved)\(suffix)\n")
        }
    }

    func noted(_ message: String) {
        clear()
        StandardError.write(message + "\n")
    }

    func working(_ progress: ProgressLine) {
        state.withLock { $0.line.show(now: clock.now) { "\(progress)" } }
    }

    /// Takes the line away.
    func clear() { state.withLock { $0.line.clear() } }

    private func description(of progress: LevelProgress, pace: Pace, now: ContinuousClock.Instant) -> String {
        let decided = progress.expansions - progress.running
        let left = progress.likelyLeft
        let line = ProgressLine(
            label: progress.level == 0 ? "measuring the unpruned model" : "step \(progress.level)",
            unit: "block evaluations", done: progress.evaluations, total: progress.evaluations + left,
            doneBefore: pace.start, elapsed: pace.elapsed(until: now), isEstimate: left > 0)
        guard progress.level > 0 else { return "\(line)" }
        return "\(line); \(decided) of \(progress.expansions) candidates decided"
    }
}

/// Since when, and from how much, work is counted.
private struct Pace {
    var start = 0
    var began: ContinuousClock.Instant?

    init() {}

    init(start: Int, at now: ContinuousClock.Instant) { (self.start, began) = (start, now) }

    /// Seconds; 0 while there is too little to tell a rate from.
    func elapsed(until now: ContinuousClock.Instant) -> Double {
        let elapsed = began.map { (now - $0) / .seconds(1) } ?? 0
        return elapsed > 0.5 ? elapsed : 0
    }
}

/// Shows how far a list of things is, in the same way.
final class ListProgress: Sendable {
    private let line = Mutex(ProgressLineWriter())

    func show(_ progress: ProgressLine) {
        line.withLock { $0.show(now: ContinuousClock.now) { "\(progress)" } }
    }

    func clear() { line.withLock { $0.clear() } }
}

/// One line about progress: written over on a terminal ten times a second, and in a log once a minute.
private struct ProgressLineWriter {
    private let isTerminal = StandardError.isTerminal
    private var began: ContinuousClock.Instant?
    private var lastShown: ContinuousClock.Instant?
    private var isOpen = false

    /// How long a log shows nothing.
    private static let silence = Duration.seconds(60)

    mutating func show(now: ContinuousClock.Instant, _ line: () -> String) {
        let since = lastShown ?? began
        began = began ?? now
        if isTerminal {
            if let last = lastShown, now - last < .milliseconds(100) { return }
            isOpen = true
            StandardError.write("\r\u{1B}[K" + line())
        } else {
            guard let since, now - since > Self.silence else { return }
            StandardError.write(line() + "\n")
        }
        lastShown = now
    }

    mutating func clear() {
        if isOpen { StandardError.write("\r\u{1B}[K") }
        isOpen = false
        if !isTerminal {
            // Another line says how far the work is.
            began = nil
            lastShown = nil
        }
    }
}
