public import Search

/// Sees a run's progress, e.g. to show it.
public protocol PruneObserver: AnyObject, Sendable {
    /// A level begins, or another task of it is done.
    func advanced(_ progress: LevelProgress)
    /// A level is over.
    func finished(level: Int, outcome: LevelOutcome, baseLoss: Double)
    /// Something worth a line, e.g. a worker that was replaced.
    func noted(_ message: String)
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

    /// The progress of a race.
    public init(_ race: LevelRace) {
        level = race.level.number
        (running, expansions) = race.progress
        evaluations = race.workSoFar.blockEvaluations
        most = race.workSoFar.bruteForceBlockEvaluations
        best = race.bestSoFar
    }
}
