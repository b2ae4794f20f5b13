public import Report

/// Sees what happens, e.g. to show it.
public protocol PruneObserver: AnyObject, Sendable {
    /// Something happened in a run.
    ///
    /// - Parameters:
    ///   - record: the run's record, which has taken in the event: what is said of it follows from that.
    ///   - time: when it was, by the record's clock.
    func observed(_ event: RunEvent, in record: RunRecord, at time: Duration)
    /// Other work than a level goes on, e.g. gradients are computed.
    func working(_ progress: ProgressLine)
}

extension PruneObserver {
    /// Shows nothing of it.
    public func working(_ progress: ProgressLine) {}
}

/// How far some counted work is: has a clock, and tells an observer.
struct CountedWork {
    private let label: String
    private let unit: String
    private let total: Int
    private let observer: (any PruneObserver)?
    private let start = ContinuousClock.now

    init(_ label: String, unit: String, total: Int, observer: (any PruneObserver)?) {
        (self.label, self.unit, self.total, self.observer) = (label, unit, total, observer)
    }

    func advanced(to done: Int) {
        observer?.working(
            ProgressLine(
                label: label, unit: unit, done: done, total: total,
                elapsed: (ContinuousClock.now - start) / .seconds(1)))
    }
}
