import ComputationGraph
import Datasets
import Search
import Testing
import Work

@Suite("The accuracy that a search keeps")
struct AccuracyFloorTests {
    private func search(_ subject: RandomProblem, drop: Double?, workers: Int = 0) async throws
        -> SearchResult
    {
        let runner: any WorkRunner =
            workers == 0
            ? LocalRunner(subject.oracle)
            : SimulatedWorkers(workers) { subject.oracle.scores($0) }
        return try await Search(
            subject.problem, settings: SearchSettings(maximumAccuracyDrop: drop), runner: runner
        ).run()
    }

    @Test("no step falls below it, for any number of workers, and the path is the same", arguments: 0..<20)
    func isKept(seed: Int) async throws {
        let subject = try RandomProblem(seed: UInt64(seed) &+ 4000, samples: 12...40)
        guard subject.oracle.seed % 2 == 1 else { return }
        let samples = subject.division.sharding.samples
        let result = try await search(subject, drop: 0.1)
        let before = try #require(result.base.correct)
        for state in result.path {
            // At most a tenth of the labels fewer: in whole labels.
            #expect((before - (try #require(state.correct))) * 10 <= samples)
        }
        for workers in [1, 3, 8] {
            #expect(
                try await search(subject, drop: 0.1, workers: workers).fingerprints == result.fingerprints)
        }
    }

    @Test("a drop of 0.29 of 100 labels allows 29, although the product is a little less in floating point")
    func roundsLikePeople() async throws {
        // Of 100 samples the full model predicts 90; with 61 right 39 are missed, with 60 right 40.
        let labels = LabelCounts(perSample: [Int](repeating: 1, count: 100))
        let floor = AccuracyFloor(drop: 0.29, below: 90, of: labels)
        #expect(floor.missesAllowed == 39)
        #expect(AccuracyFloor(drop: 0, below: 90, of: labels).missesAllowed == 10)
        #expect(AccuracyFloor(drop: 1, below: 90, of: labels).missesAllowed == 110)
    }

    @Test("without labels there is none, and the search says so")
    func needsLabels() async throws {
        var seed = 1 as UInt64
        var subject = try RandomProblem(seed: seed)
        while subject.oracle.seed % 2 == 1 {
            seed += 1
            subject = try RandomProblem(seed: seed)
        }
        await #expect(throws: SearchError.self) { try await search(subject, drop: 0.5) }
    }
}
