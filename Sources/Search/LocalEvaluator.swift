public import Datasets

/// Runs a level's race in this process, one task after the other.
public final class LocalEvaluator: LevelEvaluator {
    private let compute: (LevelTask) throws -> [SampleScores]
    private let progress: (LevelRace) throws -> Void
    private let journal: (any LevelJournal)?

    /// How long a result may wait to be kept.
    private static let longestWait: Duration = .milliseconds(100)

    /// - Parameters:
    ///   - journal: keeps every result, and gives back those of an earlier run.
    ///   - progress: called after every task; what it throws ends the search.
    ///   - compute: the scores of a task's samples, one list per edge.
    public init(
        journal: (any LevelJournal)? = nil, progress: @escaping (LevelRace) throws -> Void = { _ in },
        compute: @escaping (LevelTask) throws -> [SampleScores]
    ) {
        self.journal = journal
        self.progress = progress
        self.compute = compute
    }

    /// Runs the race to its end.
    ///
    /// - Throws: what computing, the journal or `progress` throws.
    public func evaluate(_ level: Level, division: SampleDivision, usesBounds: Bool) async throws
        -> LevelOutcome
    {
        var race = LevelRace(level, division: division, usesBounds: usesBounds)
        if let journal { race.replay(try journal.results(of: level)) }
        // Writing to disk costs as much as a small task: results are kept together, at most a moment after they came.
        var pending: [(task: LevelTask, scores: [SampleScores])] = []
        var lastKept = ContinuousClock.now
        func keep() throws {
            if !pending.isEmpty { try journal?.record(pending, level: level.number) }
            pending = []
            lastKept = .now
        }
        do {
            while !race.isComplete, let task = race.nextTask() {
                let scores = try compute(task)
                pending.append((task, scores))
                if ContinuousClock.now - lastKept > LocalEvaluator.longestWait { try keep() }
                race.fold(task, scores)
                try progress(race)
            }
        } catch {
            try keep()
            throw error
        }
        try keep()
        return race.outcome()
    }
}
