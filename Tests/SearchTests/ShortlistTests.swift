import ComputationGraph
import Datasets
import Foundation
import Search
import Testing
import Work

@Suite("A shortlist by the loss at the cut")
struct ShortlistTests {
    private static let recovery = Recovery([.leastSquares])

    private func settings(_ perState: Int, audits: Int, width: Int = 1, steps: Int = 3) -> SearchSettings {
        SearchSettings(
            strategy: width == 1 ? .greedy : .beam(width: width), steps: steps,
            screening: Screening(perState: perState, audits: audits, seed: 4, criterion: .lossAtCut),
            recovery: Self.recovery)
    }

    private func search(
        _ plain: RandomProblem, _ settings: SearchSettings, _ runner: (any WorkRunner)? = nil,
        _ shared: SharedResults? = nil
    ) async throws -> SearchResult {
        try await Search(
            plain.recovered.problem, settings: settings, runner: runner ?? LocalRunner(plain.oracle),
            shared: shared
        ).run()
    }

    @Test(
        "path and report are the same for any number of workers, and after a stop, to the bit",
        arguments: 0..<40)
    func isDeterministic(seed: Int) async throws {
        let plain = try RandomProblem(seed: 90_000 + UInt64(seed), nodes: 5...7, kind: .realistic)
        let settings = settings(2, audits: 3, width: 1 + seed % 3)
        let shared = SharedResults()
        var left = 3 + seed
        let stopped = LocalRunner(journal: shared) { item, _, _ in
            if left == 0 { throw CancellationError() }
            left -= 1
            return plain.oracle.scores(item)
        }
        _ = try? await search(plain, settings, stopped, shared)
        #expect(shared.evaluations > 0)
        let results = [
            try await search(plain, settings),
            try await search(plain, settings, LocalRunner(plain.oracle, journal: shared), shared),
            try await search(plain, settings, UnrulyRunner(plain.oracle, workers: 4, seed: UInt64(seed))),
            try await search(plain, settings, SimulatedWorkers(8, seed: 1) { plain.oracle.scores($0) }),
        ]
        #expect(Set(results.map(\.fingerprints)).count == 1)
        #expect(Set(results.map(\.screening)).count == 1)
        #expect(Set(results.map { $0.levels.joined().map { $0.lossAtCut?.bitPattern } }).count == 1)
    }

    /// What is on the list by brute force at the cut, and which of it is best after the recovery.
    @Test("has the best at the cut, of which the best after the recovery is chosen", arguments: 0..<30)
    func choosesByTheCut(seed: Int) async throws {
        let plain = try RandomProblem(seed: 91_000 + UInt64(seed), nodes: 5...7, kind: .realistic)
        let naive = NaiveSearch(plain, objective: .absolute)
        let recovered = NaiveSearch(plain.recovered, objective: .absolute)
        let base = naive.base
        for count in 1...3 {
            let list = naive.best(count, of: [base], baseLoss: base.loss)
            let expected = recovered.best(1, of: [recovered.base], baseLoss: base.loss) { entry in
                list.contains { $0.mask == entry.mask }
            }
            let result = try await search(plain, settings(count, audits: 0, steps: 1))
            #expect(result.levels.first?.map { Fingerprint($0) } == expected.map { Fingerprint($0) })
            let report = try #require(result.screening?.levels.first)
            let all = naive.best(.max, of: [base], baseLoss: base.loss).count
            #expect(report.measured == min(count, all) && report.skipped == max(0, all - count))
            #expect(report.audited == 0 && report.regret == nil)
        }
    }

    @Test(
        "reports what an audit of everything shows: the very regret against the exact level",
        arguments: 0..<30)
    func measuresRegret(seed: Int) async throws {
        let plain = try RandomProblem(seed: 92_000 + UInt64(seed), nodes: 5...7, kind: .realistic)
        let exact = try #require(
            NaiveSearch(plain.recovered, objective: .absolute).levels(keep: .max, steps: 1).first)
        let result = try await search(plain, settings(1, audits: 1000))
        let report = try #require(result.screening?.levels.first)
        let chosen = try #require(result.levels.first?.first)
        #expect(report.measured == 1 && report.skipped == exact.count - 1 && report.audited == report.skipped)
        #expect(report.regret == chosen.objective - exact[0].objective)
        let place = try #require(exact.firstIndex { $0.mask == chosen.mask })
        #expect(report.missed == place)
        #expect(report.better == (place == 0 ? nil : exact[0].mask))
    }

    @Test("with room for every expansion is the exact search, and leaves nothing out")
    func wideIsExact() async throws {
        let plain = try RandomProblem(seed: 5, nodes: 6...6, kind: .realistic)
        let exact = try await search(plain, SearchSettings(steps: 3, recovery: Self.recovery))
        #expect(exact.screening == nil)
        let wide = try await search(plain, settings(1000, audits: 8))
        #expect(wide.fingerprints == exact.fingerprints)
        #expect(wide.screening?.missed == 0...0 && wide.screening?.regret == 0)
        #expect(wide.totalWork == exact.totalWork)
    }

    @Test("is known by its criterion in what a run keeps; older settings screen by a surrogate")
    func isKept() throws {
        let list = settings(2, audits: 3)
        let coded = try JSONEncoder().encode(list)
        #expect(try JSONDecoder().decode(SearchSettings.self, from: coded) == list)
        let old = Data(#"{"perState": 2, "audits": 3, "seed": 4}"#.utf8)
        let screening = try JSONDecoder().decode(Screening.self, from: old)
        #expect(screening == Screening(perState: 2, audits: 3, seed: 4) && screening.criterion == .surrogate)
        #expect(screening != list.screening)
    }
}
