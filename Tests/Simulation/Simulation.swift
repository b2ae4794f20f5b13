public import Coordination
internal import Foundation
internal import HeapModule
internal import Work

/// One seed: a whole search with coordinator, workers and faults, held against the same search in one process.
public struct Simulation {
    /// What decides everything.
    public let seed: UInt64
    private let world: World
    private let problem: SimulatedProblem
    private let defect: Defect?
    private let configure: @Sendable (inout CoordinatorSettings) -> Void
    private let log: (@Sendable (String) -> Void)?

    /// The simulation of a seed.
    ///
    /// - Parameters:
    ///   - world: how rough; the seed's own unless given.
    ///   - defect: a deliberate mistake.
    ///   - log: is given every event as a line.
    ///   - configure: changes how workers are treated.
    /// - Throws: what making the problem throws.
    public init(
        seed: UInt64, world: World? = nil, defect: Defect? = nil, log: (@Sendable (String) -> Void)? = nil,
        configure: @escaping @Sendable (inout CoordinatorSettings) -> Void = { _ in }
    ) throws {
        self.seed = seed
        self.world = world ?? World(seed: seed)
        self.defect = defect
        self.log = log
        self.configure = configure
        problem = try SimulatedProblem(seed: seed)
    }

    /// Runs to the end.
    ///
    /// - Throws: `SimulationFailure` and `InvariantViolation` for a broken promise; `CoordinationError` for what stops
    ///   a run.
    public func run() async throws -> SimulationCounts {
        let simulator = Simulator(
            world: world, problem: problem, seed: seed, defect: defect, log: log, configure: configure)
        let expected = try await problem.expected()
        simulator.startCoordinator()
        let found = try await outcome(in: simulator)
        for (own, other) in zip(found, expected) where own != other {
            throw SimulationFailure("the run found \(own), and in one process \(other)")
        }
        guard found.count == expected.count else {
            throw SimulationFailure("the run has \(found.count) levels, not \(expected.count)")
        }
        try simulator.finish()
        return simulator.finalCounts
    }

    /// A coordinator that crashes takes its search with it: the next one begins with what the journal holds.
    private func outcome(in simulator: Simulator) async throws -> [String] {
        let runner = SimulatedRunner(simulator)
        while true {
            do { return try await problem.outcome(on: runner) } catch is Simulator.Crash {
                try simulator.restartCoordinator()
            }
        }
    }
}

/// The seam between the run and the simulated cluster.
private final class SimulatedRunner: WorkRunner {
    private let simulator: Simulator

    init(_ simulator: Simulator) { self.simulator = simulator }

    func run<Source: WorkSource>(_ source: Source) async throws -> Source {
        guard let complete = try simulator.run(source) as? Source else {
            throw SimulationFailure("another source came back than was begun")
        }
        return complete
    }

    // Simulated computations get contents out of the air.
    func provide(_ content: [UInt8]) async throws -> ContentID { SimulatedProblem.content(of: content) }
}

extension Simulator {
    /// Without further faults nobody owes anything after a while, and every worker hears that the run is over.
    func finish() throws {
        isOver = true
        // Clearing up takes time, in which workers tick; a share of the seeds shows it.
        if seed % 16 == 0, world.workers <= 60 {
            let quiet = now + 600_000_000_000
            while let next = agenda.min, next.at < quiet { try step() }
            for worker in coordinator?.workers ?? [] where worker.outstanding > 0 {
                throw SimulationFailure(
                    "after the run \(worker.connection) still owes \(worker.outstanding) tasks")
            }
            for (index, node) in nodes.enumerated() where node.machine.answersKept > 0 && node.ending == nil {
                throw SimulationFailure(
                    "after the run worker \(index) keeps \(node.machine.answersKept) answers")
            }
        }
        try tell(.stop(reason: "the run is over"))
        if let coordinator { probes += coordinator.probes }
        for node in nodes { probes += node.machine.probes }
    }

    var finalCounts: SimulationCounts {
        var counts = counts
        for fault in Fault.allCases where struck[fault.rawValue] > 0 {
            counts.faults[fault] = struck[fault.rawValue]
            counts.runs[fault] = 1
        }
        counts.probes = probes
        counts.seeds = 1
        counts.seconds = Double(now) / 1e9
        return counts
    }
}
