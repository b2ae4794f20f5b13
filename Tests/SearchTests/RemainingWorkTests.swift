import Search
import Testing
import Work

@Suite("The work that is likely left of a level")
struct RemainingWorkTests {
    /// What a race said was left, and what really was, at a point of a level.
    private struct Forecast {
        let likely: Int
        let bruteForce: Int
        let actual: Int
    }

    /// At half of the work that each level took.
    private func forecasts(_ seed: UInt64, usesBounds: Bool = true) async throws -> [Forecast] {
        let subject = try RandomProblem.large(seed: seed, samples: 2048)
        var told: [Int: [(done: Int, likely: Int, most: Int)]] = [:]
        let runner = LocalRunner(subject.oracle) { source in
            guard let race = source as? LevelRace else { return }
            let work = race.workSoFar
            told[race.level.number, default: []].append(
                (work.blockEvaluations, race.likelyEvaluationsLeft, work.bruteForceBlockEvaluations))
        }
        let result = try await Search(
            subject.problem, settings: SearchSettings(steps: 3, usesBounds: usesBounds), runner: runner
        ).run()
        return result.work.indices.dropFirst().compactMap { level in
            let total = result.work[level].blockEvaluations
            guard let half = told[level]?.first(where: { $0.done * 2 >= total }) else { return nil }
            #expect(told[level]?.last?.likely == 0)
            return Forecast(likely: half.likely, bruteForce: half.most - half.done, actual: total - half.done)
        }
    }

    @Test("is told within a factor of two at half of it, where brute force is many times as much")
    func isCloserThanBruteForce() async throws {
        var (likely, actual, bruteForce) = (0, 0, 0)
        for seed in 0..<6 as Range<UInt64> {
            for forecast in try await forecasts(seed) {
                #expect(forecast.likely <= forecast.bruteForce)
                likely += forecast.likely
                actual += forecast.actual
                bruteForce += forecast.bruteForce
            }
        }
        #expect(likely <= 2 * actual && actual <= 2 * likely, "\(likely) told, \(actual) were left")
        #expect(bruteForce > 3 * actual, "\(bruteForce) of brute force, \(actual) were left")
    }

    @Test("is all that is left where nothing is dropped early")
    func isEverythingWithoutBounds() async throws {
        for forecast in try await forecasts(7, usesBounds: false) {
            #expect(forecast.likely == forecast.actual && forecast.likely == forecast.bruteForce)
        }
    }
}
