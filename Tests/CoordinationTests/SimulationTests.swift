import ComputationGraph
import Coordination
import Search
import Simulation
import Synchronization
import Testing

/// Small searches in rough worlds, each compared with the same search in one process. `Scripts/simulate` runs many
/// more, optimised.
@Suite struct SimulationTests {
    @Test(arguments: 0..<4) func searchesFindTheSameWhateverHappens(part: UInt64) async throws {
        var counts = SimulationCounts()
        for seed in part * 60..<(part + 1) * 60 {
            do { counts += try await Simulation(seed: seed).run() } catch {
                Issue.record("\(error): Scripts/simulate --seed \(seed)")
            }
        }
        #expect(counts.faults.count > Fault.allCases.count / 2, "worlds without faults show nothing")
    }

    @Test(arguments: [1, 2, 7, 40])
    func pathsDoNotDependOnTheNumberOfWorkers(workers: Int) async throws {
        var world = World()
        world.workers = workers
        for seed in UInt64(3000)..<3020 { _ = try await Simulation(seed: seed, world: world).run() }
    }

    /// Seeds until a mistake is seen; each of these is enough.
    @Test(arguments: zip(Defect.allCases, [200, 200, 200, 400]))
    func deliberateMistakesAreSeen(defect: Defect, seeds: Int) async throws {
        for seed in UInt64(0)..<UInt64(seeds) {
            do { _ = try await Simulation(seed: seed, defect: defect).run() } catch { return }
        }
        Issue.record("\(defect) went unseen in \(seeds) seeds")
    }

    @Test func oneSeedIsOneExecution() async throws {
        func events(_ seed: UInt64) async throws -> ([String], UInt64) {
            let lines = Lines()
            let counts = try await Simulation(seed: seed, log: { lines.add($0) }).run()
            return (lines.all, counts.digest)
        }
        for seed in UInt64(10)..<20 {
            let (one, other) = (try await events(seed), try await events(seed))
            #expect(one.0.count > 20)
            #expect(one.0 == other.0)
            #expect(one.1 == other.1)
        }
    }

    @Test func aStragglerDoesNotHoldUpTheEndOfALevel() async throws {
        var world = World()
        world.workers = 4
        world.chances = [.straggler: 1]
        world.faultLimit = 1
        for seed in UInt64(0)..<20 {
            var quiet = world
            quiet.chances = [:]
            let usual = try await Simulation(seed: seed * 8 + 1, world: quiet).run()
            let counts = try await Simulation(seed: seed * 8 + 1, world: world).run()
            #expect(counts.faults == [.straggler: 1])
            // The straggler takes 2 to 20 s; a copy of its task is computed in at most 60 ms. The first step of a training may
            // be a single task, of which nobody knows yet what is long: that one is copied when its lease ends.
            let isTraining = try SimulatedProblem(seed: seed * 8 + 1).trains
            #expect(counts.seconds < usual.seconds + (isTraining ? 12 : 2))
        }
    }

    @Test func aHungComputationOfTheOnlyWorkerEndsItsProcessAndTheRunGoesOn() async throws {
        var world = World()
        world.workers = 1
        world.chances = [.hang: 1]
        world.faultLimit = 1
        let lines = Lines()
        let counts = try await Simulation(seed: 1, world: world, log: { lines.add($0) }).run()
        #expect(counts.faults == [.hang: 1])
        // A first lease of 10 s, five times, and three heartbeats of a second.
        #expect(lines.all.contains { $0.contains("worker 0 ends: task 4294967297 does not end") })
        #expect(counts.seconds > 53 && counts.seconds < 60)
    }

    @Test func aTaskThatKillsEveryWorkerStopsTheRun() async throws {
        var world = World()
        world.chances = [.workerCrash: 1]
        world.faultLimit = .max
        let simulation = try Simulation(seed: 3, world: world, configure: { $0.failureLimit = 3 })
        do {
            _ = try await simulation.run()
            Issue.record("the search ended")
        } catch CoordinationError.deadlyTask(let work, let workers, _) {
            #expect(work.contains("state {}, removing nothing more"))
            #expect(workers == 3)
        }
    }

    @Test func aCoordinatorThatComesBackTakesOverWhatWasFinished() async throws {
        var world = World()
        world.chances = [.crashBeforeWrite: 1]
        world.faultLimit = 3
        var counts = SimulationCounts()
        for seed in UInt64(0)..<20 { counts += try await Simulation(seed: seed, world: world).run() }
        #expect(counts.faults[.crashBeforeWrite] ?? 0 >= 20)
        #expect(counts.handovers >= 20)
    }
}

private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
}
