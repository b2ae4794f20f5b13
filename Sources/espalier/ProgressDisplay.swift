internal import Pruning
internal import Report
internal import Synchronization

/// Shows a search's progress on standard error: on a terminal a line that is written over, otherwise a line per level and,
/// where a level takes long, one a minute.
final class ProgressDisplay: PruneObserver {
    private let line = Mutex(ProgressLineWriter())

    func observed(_ event: RunEvent, in record: RunRecord, at time: Duration) {
        if case .advanced = event {
            line.withLock { $0.show(now: .now) { record.progress(at: time) ?? "" } }
        } else if let text = record.line(about: event) {
            clear()
            StandardError.write(text + "\n")
        }
    }

    func working(_ progress: ProgressLine) { line.withLock { $0.show(now: .now) { "\(progress)" } } }

    /// Takes the line away.
    func clear() { line.withLock { $0.clear() } }
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
            // The last column stays free: some terminals go to the next line once it is written to.
            let text = TerminalText.clipped(TerminalText.shown(line()), to: StandardError.columns - 1)
            StandardError.control("\r\u{1B}[K")
            StandardError.write(text)
        } else {
            guard let since, now - since > Self.silence else { return }
            StandardError.write(line() + "\n")
        }
        lastShown = now
    }

    mutating func clear() {
        if isOpen { StandardError.control("\r\u{1B}[K") }
        isOpen = false
        if !isTerminal {
            // Another line says how far the work is.
            began = nil
            lastShown = nil
        }
    }
}
