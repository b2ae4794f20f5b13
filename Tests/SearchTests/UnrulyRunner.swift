import Datasets
import Testing
import Work

@testable import Search

/// Runs a race as a bad day on a cluster would: items finish in any order, workers vanish and come back late with
/// what they had, results arrive twice, and some shards are for some workers only.
final class UnrulyRunner: WorkRunner {
    private let oracle: LossOracle
    private var random: SplitMix64
    private let workers: Int
    private(set) var largestShare = 0

    init(_ oracle: LossOracle, workers: Int, seed: UInt64) {
        self.oracle = oracle
        self.workers = workers
        random = SplitMix64(seed: seed)
    }

    func provide(_ content: [UInt8]) async throws -> ContentID {
        throw WorkMismatch("needs a content, and losses need none")
    }

    func run<Source: WorkSource>(_ source: Source) async throws -> Source {
        try finish(source, shards: (source as? LevelRace)?.division.sharding.shards ?? 1)
    }

    /// The outcome of a race.
    func run(_ race: LevelRace, shards: Int) throws -> LevelOutcome {
        try finish(race, shards: shards).outcome()
    }

    private func fold(_ item: WorkItem, into source: inout some WorkSource) throws {
        let result = try oracle.result(of: item)
        try source.check(result, of: item)
        _ = source.fold(item, result)
    }

    /// A result whose item nobody waits for any more arrives as that of another coordinator would.
    private func handOver(_ item: WorkItem, to source: inout some WorkSource) throws {
        let record = WorkRecord(key: item.key, result: try oracle.result(of: item))
        guard case .part(let own, let result) = source.adopt(record) else {
            Issue.record("a result of the race's own item is of no use to it")
            return
        }
        #expect(Set(own.pieces) == Set(item.pieces))
        try source.check(result, of: own)
        _ = source.fold(own, result)
    }

    private func finish<Source: WorkSource>(_ start: Source, shards: Int) throws -> Source {
        var source = start
        var inFlight: [WorkItem] = []
        var late: [WorkItem] = []
        // Every shard has a home; other workers may hold it too.
        let holdings = (0..<workers).map { worker in
            Set((0..<shards).filter { $0 % workers == worker || Int.random(in: 0..<3, using: &random) == 0 })
        }
        let views = holdings.map { held in WorkerView(sharing: workers, holds: { held.contains($0) }) }
        while !source.isComplete {
            var wasHandedOut = false
            for worker in (0..<workers).shuffled(using: &random)
            where inFlight.count < 2 * workers && (inFlight.isEmpty || Bool.random(using: &random)) {
                guard let item = source.next(for: views[worker]) else { continue }
                if let shard = item.shard { #expect(holdings[worker].contains(shard)) }
                largestShare = max(largestShare, item.pieces.count)
                inFlight.append(item)
                wasHandedOut = true
            }
            guard let index = inFlight.indices.randomElement(using: &random) else {
                if source.isComplete { break }
                // A shard may belong to nobody that was asked; ask again, but not for ever.
                if !wasHandedOut,
                    !views.contains(where: { view in
                        guard let item = source.next(for: view) else { return false }
                        inFlight.append(item)
                        return true
                    })
                {
                    Issue.record("nothing is in flight, nothing is handed out, and the race is not over")
                    break
                }
                continue
            }
            let item = inFlight.remove(at: index)
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                source.giveBack(item)
            case 1:
                source.giveBack(item)
                late.append(item)
            case 2:
                try fold(item, into: &source)
                try fold(item, into: &source)
            case 3:
                try fold(item, into: &source)
                source.giveBack(item)
            default:
                try fold(item, into: &source)
            }
            if !late.isEmpty, Int.random(in: 0..<3, using: &random) == 0 {
                let item = late.removeFirst()
                if Bool.random(using: &random) {
                    try fold(item, into: &source)
                } else {
                    try handOver(item, to: &source)
                }
            }
        }
        return source
    }
}
