internal import Pruning
internal import Report

/// Shows a search's progress on standard error: on a terminal a line that is written over, otherwise a line per level and,
/// where a level takes long, one a minute.
final class ProgressDisplay: PruneObserver {
    func observed(_ event: RunEvent, in record: RunRecord, at time: Duration) {
        if case .advanced = event {
            StandardError.show { record.progress(at: time) }
        } else if let text = record.line(about: event) {
            StandardError.write(text + "\n")
        }
    }

    func working(_ progress: ProgressLine) { StandardError.show { progress } }

    /// Takes the line away.
    func clear() { StandardError.clear() }
}
