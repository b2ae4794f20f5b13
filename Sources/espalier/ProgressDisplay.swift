internal import ComputationGraph
internal import Pruning
internal import Search
internal import Synchronization

/// Shows a run's progress on standard error: a line that is written over on a terminal, a line per level otherwise.
final class ProgressDisplay: PruneObserver {
    private struct State {
        var lastShown: ContinuousClock.Instant?
        var levelBegan: (level: Int, at: ContinuousClock.Instant, evaluations: Int)?
        var lineIsOpen = false
    }

    private let state = Mutex(State())
    private let isTerminal = StandardError.isTerminal
    private let clock = ContinuousClock()

    func advanced(_ progress: LevelProgress) {
        guard isTerminal else { return }
        state.withLock { state in
            let now = clock.now
            if state.levelBegan?.level != progress.level {
                state.levelBegan = (progress.level, now, progress.evaluations)
            }
            if let last = state.lastShown, now - last < .milliseconds(100) { return }
            state.lastShown = now
            state.lineIsOpen = true
            StandardError.write("\r\u{1B}[K" + line(progress, since: state.levelBegan, now: now))
        }
    }

    func finished(level: Int, outcome: LevelOutcome, baseLoss: Double) {
        clearLine()
        guard let best = outcome.best.first else {
            StandardError.write("step \(level): no removal keeps the loss within the limit\n")
            return
        }
        let saved = outcome.work.bruteForceBlockEvaluations - outcome.work.blockEvaluations
        let share = saved * 100 / max(outcome.work.bruteForceBlockEvaluations, 1)
        if level == 0 {
            StandardError.write("unpruned: loss \(best.loss)\n")
        } else {
            let edge = best.edge.map(\.description) ?? ""
            let change = best.loss - baseLoss
            StandardError.write(
                "step \(level): removed \(edge), loss \(best.loss) (\(change < 0 ? "" : "+")\(change)), "
                    + "\(outcome.work.candidates) candidates, \(outcome.work.blockEvaluations) block evaluations "
                    + "(\(share)% saved)\n")
        }
    }

    func noted(_ message: String) {
        clearLine()
        StandardError.write(message + "\n")
    }

    private func clearLine() {
        state.withLock { state in
            if state.lineIsOpen { StandardError.write("\r\u{1B}[K") }
            state.lineIsOpen = false
        }
    }

    private func line(
        _ progress: LevelProgress, since began: (level: Int, at: ContinuousClock.Instant, evaluations: Int)?,
        now: ContinuousClock.Instant
    ) -> String {
        var line = progress.level == 0 ? "measuring the unpruned model" : "step \(progress.level)"
        line += ": \(progress.expansions - progress.running)/\(progress.expansions) expansions decided, "
        line += "\(progress.evaluations) of at most \(progress.most) block evaluations"
        if let began {
            let elapsed = Double((now - began.at) / .seconds(1))
            let done = Double(progress.evaluations - began.evaluations)
            if elapsed > 0.5, done > 0 {
                // All that is left is the most that it can take; bounds make it less.
                let left = Double(progress.most - progress.evaluations) / (done / elapsed)
                line += ", \(Int(done / elapsed))/s, at most \(duration(left)) left"
            }
        }
        return line
    }

    private func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e7 else { return "long" }
        let whole = Int(seconds.rounded(.up))
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }
}
