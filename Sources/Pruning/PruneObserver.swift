public import Report
public import Search

/// Sees a run's progress, e.g. to show it.
public protocol PruneObserver: AnyObject, Sendable {
    /// A level begins, or another task of it is done.
    func advanced(_ progress: LevelProgress)
    /// Other work than a level goes on, e.g. gradients are computed.
    func working(_ progress: ProgressLine)
    /// A level is over.
    ///
    /// - Parameter heldOut: the best state on held-out data; `nil` where there are none.
    func finished(level: Int, outcome: LevelOutcome, baseLoss: Double, heldOut: Evaluation.Measured?)
    /// Something worth a line, e.g. a worker that was replaced.
    func noted(_ message: String)
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

/// How far a level is.
public struct LevelProgress: Sendable {
    /// The number of removals.
    public let level: Int
    /// Expansions that are still in the race, and all of them.
    public let running: Int
    /// All expansions of the level.
    public let expansions: Int
    /// Block evaluations done, and the most that the level can take.
    public let evaluations: Int
    /// The most block evaluations that the level can take.
    public let most: Int
    /// The best objective value so far.
    public let best: Double?
    private let race: LevelRace

    /// The progress of a race.
    public init(_ race: LevelRace) {
        level = race.level.number
        (running, expansions) = race.progress
        evaluations = race.workSoFar.blockEvaluations
        most = race.workSoFar.bruteForceBlockEvaluations
        best = race.bestSoFar
        self.race = race
    }

    /// The block evaluations that are likely left, by what has been dropped so far; worked out when it is asked for.
    public var likelyLeft: Int { race.likelyEvaluationsLeft }
}
