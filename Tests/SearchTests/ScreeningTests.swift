import ComputationGraph
import Datasets
import Foundation
import Search
import Testing
import Work

@Suite("Screening")
struct ScreeningTests {
    /// A model that knows single edges and nothing of pairs.
    private func model(_ subject: RandomProblem) -> SurrogateModel {
        let base = NaiveSearch(subject, objective: .absolute).base
        let all = Array(0..<subject.division.sharding.samples)
        let edges = subject.problem.candidates.representatives
        let gradients = edges.map { edge in
            let losses = subject.oracle.losses(Mask([edge]), samples: all).losses
            return base.loss - Double(losses.reduce(0, +)) / Double(all.count)
        }
        return SurrogateModel(
            units: edges.map { Unit($0) }, gradients: gradients,
            hessian: edges.map { _ in edges.map { _ in 0 } })
    }

    private func settings(_ perState: Int, audits: Int, width: Int = 1) -> SearchSettings {
        SearchSettings(
            strategy: width == 1 ? .greedy : .beam(width: width), steps: 3,
            screening: Screening(perState: perState, audits: audits, seed: 4))
    }

    @Test(
        "path and report are the same for any number of workers, and after a stop, to the bit",
        arguments: 0..<40)
    func isDeterministic(seed: Int) async throws {
        let subject = try RandomProblem(seed: 70_000 + UInt64(seed), nodes: 5...7, kind: .realistic)
        let settings = settings(2, audits: 3, width: 1 + seed % 3)
        let model = model(subject)
        func search(_ runner: any WorkRunner, _ shared: SharedResults? = nil) async throws -> SearchResult {
            try await Search(
                subject.problem, settings: settings, runner: runner, shared: shared, surrogate: model
            ).run()
        }
        let shared = SharedResults()
        var left = 3 + seed
        let stopped = LocalRunner(journal: shared) { item, _, _ in
            if left == 0 { throw CancellationError() }
            left -= 1
            return subject.oracle.scores(item)
        }
        _ = try? await search(stopped, shared)
        #expect(shared.evaluations > 0)
        let results = [
            try await search(LocalRunner(subject.oracle)),
            try await search(LocalRunner(subject.oracle, journal: shared), shared),
            try await search(UnrulyRunner(subject.oracle, workers: 4, seed: UInt64(seed))),
            try await search(SimulatedWorkers(8, seed: 1) { subject.oracle.scores($0) }),
        ]
        #expect(Set(results.map(\.fingerprints)).count == 1)
        #expect(Set(results.map(\.screening)).count == 1)
    }

    @Test(
        "reports what an audit of everything shows: the very regret against the exact level",
        arguments: 0..<30)
    func measuresRegret(seed: Int) async throws {
        let subject = try RandomProblem(seed: 80_000 + UInt64(seed), nodes: 5...7, kind: .realistic)
        let naive = NaiveSearch(subject, objective: .absolute)
        let exact = try #require(naive.levels(keep: .max, steps: 1).first)
        let result = try await Search(
            subject.problem, settings: settings(1, audits: 1000),
            runner: LocalRunner(subject.oracle), surrogate: model(subject)
        ).run()
        let report = try #require(result.screening?.levels.first)
        let chosen = try #require(result.levels.first?.first)
        #expect(report.measured == 1 && report.skipped == exact.count - 1 && report.audited == report.skipped)
        #expect(report.regret == chosen.objective - exact[0].objective)
        let place = try #require(exact.firstIndex { $0.mask == chosen.mask })
        #expect(report.missed == place)
        #expect(report.better == (place == 0 ? nil : exact[0].mask))
        let missed = try #require(result.screening?.missed)
        #expect(missed.lowerBound == missed.upperBound, "all were drawn: nothing is left to chance")
    }

    @Test("with room for every expansion it is the exact search, and leaves nothing out")
    func wideIsExact() async throws {
        let subject = try RandomProblem(seed: 5, nodes: 6...6, kind: .realistic)
        let exact = try await Search(
            subject.problem, settings: SearchSettings(steps: 3),
            runner: LocalRunner(subject.oracle)
        ).run()
        #expect(exact.screening == nil)
        let wide = try await Search(
            subject.problem, settings: settings(1000, audits: 8),
            runner: LocalRunner(subject.oracle), surrogate: model(subject)
        ).run()
        #expect(wide.fingerprints == exact.fingerprints)
        #expect(wide.screening?.missed == 0...0 && wide.screening?.regret == 0)
        #expect(wide.totalWork == exact.totalWork)
    }

    @Test("covers the share that is missed as often as it says")
    func intervalCovers() {
        var random = SplitMix64(seed: 9)
        for share in [0.02, 0.2, 0.5] {
            var covered = 0
            for _ in 0..<400 {
                let found = (0..<12).count { _ in Double.random(in: 0..<1, using: &random) < share }
                let interval = BinomialInterval(found: found, of: 12)
                if interval.lower <= share && share <= interval.upper { covered += 1 }
            }
            #expect(covered >= 370, "\(covered) of 400 at \(share)")
        }
    }

    /// Quantiles of the beta distribution by SciPy 1.x, `scipy.stats.beta.ppf`.
    @Test(
        "is Clopper's and Pearson's interval",
        arguments: [
            (0, 8, 0.95, [0, 0.3694166475528192]),
            (1, 10, 0.95, [0.0025285785444617865, 0.4450161170281954]),
            (5, 10, 0.95, [0.18708602844739855, 0.8129139715526015]),
            (10, 10, 0.95, [0.6915028921812392, 1]),
            (3, 50, 0.99, [0.0068724853329516465, 0.20270626946864323]),
            (200, 1000, 0.95, [0.17562057483084223, 0.22615937282137055]),
        ])
    func isClopperPearson(found: Int, count: Int, confidence: Double, limits: [Double]) {
        let interval = BinomialInterval(found: found, of: count, confidence: confidence)
        #expect(abs(interval.lower - limits[0]) < 1e-9 && abs(interval.upper - limits[1]) < 1e-9)
    }
}
