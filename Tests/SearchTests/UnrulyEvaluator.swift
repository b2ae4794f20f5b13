import ComputationGraph
import Datasets
import Search
import Testing

/// Runs a race as a bad day on a cluster would: tasks finish in any order, workers vanish and come back late with
/// what they had, results arrive twice, and some shards are for some workers only.
final class UnrulyEvaluator: LevelEvaluator {
    private let oracle: LossOracle
    private var random: SplitMix64
    private let workers: Int
    private(set) var largestShare = 0

    init(_ oracle: LossOracle, workers: Int, seed: UInt64) {
        self.oracle = oracle
        self.workers = workers
        random = SplitMix64(seed: seed)
    }

    func evaluate(_ level: Level, division: SampleDivision, usesBounds: Bool) async throws -> LevelOutcome {
        run(LevelRace(level, division: division, usesBounds: usesBounds), shards: division.sharding.shards)
    }

    func run(_ start: LevelRace, shards: Int) -> LevelOutcome {
        var race = start
        var inFlight: [LevelTask] = []
        var late: [LevelTask] = []
        // Every shard has a home; other workers may hold it too.
        let holdings = (0..<workers).map { worker in
            Set((0..<shards).filter { $0 % workers == worker || Int.random(in: 0..<3, using: &random) == 0 })
        }
        while !race.isComplete {
            var wasHandedOut = false
            for worker in (0..<workers).shuffled(using: &random)
            where inFlight.count < 2 * workers && (inFlight.isEmpty || Bool.random(using: &random)) {
                guard let task = race.nextTask(sharing: workers, admits: { holdings[worker].contains($0) })
                else { continue }
                largestShare = max(largestShare, task.edges.count)
                inFlight.append(task)
                wasHandedOut = true
            }
            guard let index = inFlight.indices.randomElement(using: &random) else {
                if race.isComplete { break }
                // A shard may belong to nobody that was asked; ask again, but not for ever.
                if !wasHandedOut,
                    !(0..<workers).contains(where: { worker in
                        guard
                            let task = race.nextTask(
                                sharing: workers, admits: { holdings[worker].contains($0) })
                        else { return false }
                        inFlight.append(task)
                        return true
                    })
                {
                    Issue.record("nothing is in flight, nothing is handed out, and the race is not over")
                    break
                }
                continue
            }
            let task = inFlight.remove(at: index)
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                race.giveBack(task)
            case 1:
                race.giveBack(task)
                late.append(task)
            case 2:
                race.fold(task, oracle.scores(task))
                race.fold(task, oracle.scores(task))
            case 3:
                race.fold(task, oracle.scores(task))
                race.giveBack(task)
            default:
                race.fold(task, oracle.scores(task))
            }
            if !late.isEmpty, Int.random(in: 0..<3, using: &random) == 0 {
                let task = late.removeFirst()
                race.fold(task, oracle.scores(task))
            }
        }
        return race.outcome()
    }
}
