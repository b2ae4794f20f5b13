internal import Coordination
internal import Foundation
internal import HeapModule
internal import Search
internal import Work

/// A coordinator and its workers in one thread. The simulator owns time, network, disk and randomness, so that one
/// seed is one execution; the state machines, the codec of their messages and the search are the real ones.
final class Simulator {
    /// Something that will happen.
    enum Event {
        case toCoordinator(Data, Link)
        case toWorker(Data, Link)
        case linkLost(Link)
        case work(Int, process: Int, WorkerEvent)
        case restart(Int)
        case connect(Int, process: Int)
        case tickWorker(Int, process: Int)
        case resume(Int)
        case tickCoordinator(Int)
    }

    struct Entry: Comparable {
        let at: Int64
        let number: Int
        let event: Event

        static func < (left: Entry, right: Entry) -> Bool {
            (left.at, left.number) < (right.at, right.number)
        }
        static func == (left: Entry, right: Entry) -> Bool { left.number == right.number }
    }

    /// The coordinator's process ended.
    struct Crash: Error {}

    /// The journal could not be written.
    struct DiskFull: Error {}

    let world: World
    let problem: SimulatedProblem
    let seed: UInt64
    let defect: Defect?
    let log: (@Sendable (String) -> Void)?
    let wire = Wire()
    var random: SplitMix64
    var counts = SimulationCounts()
    var struck = [Int](repeating: 0, count: Fault.allCases.count)
    private let chances: [Double]
    private var faults = 0

    /// Nanoseconds since the world began.
    var now: Int64 = 0
    var agenda = Heap<Entry>()
    private var entryNumber = 0

    var nodes: [Node] = []
    var coordinator: Coordinator?
    var coordinatorClock = Clock()
    /// Counts coordinators; messages of earlier ones are still on their way.
    var coordinatorNumber = 0
    var coordinatorPausedUntil: Int64 = 0
    /// The world lets coordinator and workers end in peace.
    var isOver = false

    var journal: SimulatedJournal
    var recorded: [Int: [WorkRecord]] = [:]
    /// What an acknowledgement has promised to be kept.
    var promised: Set<WorkAtom> = []
    /// What attempts are about, by their number.
    var orders: [AttemptID: WorkOrder] = [:]
    var failed: Set<AttemptID> = []
    /// What is being worked at, as it was begun.
    var source: (any WorkSource)?
    var outcome: (any WorkSource)?
    private let kinds: SimulatedKinds
    /// What state machines that are gone have reached.
    var probes = ProbeCounts()
    var failure: CoordinationError?
    /// Whom the coordinator wants told how far the run is.
    var reports: [ConnectionID] = []
    var strangers = 0
    let configure: @Sendable (inout CoordinatorSettings) -> Void

    init(
        world: World, problem: SimulatedProblem, seed: UInt64, defect: Defect?,
        log: (@Sendable (String) -> Void)?,
        configure: @escaping @Sendable (inout CoordinatorSettings) -> Void
    ) {
        self.world = world
        self.problem = problem
        self.seed = seed
        self.defect = defect
        self.log = log
        self.configure = configure
        random = SplitMix64(seed: seed)
        let kinds = SimulatedKinds(problem.kinds)
        self.kinds = kinds
        journal = SimulatedJournal { kinds.atoms(of: $0) }
        chances = Fault.allCases.map { world.chances[$0] ?? 0 }
        for index in 0..<world.workers {
            nodes.append(newNode())
            schedule(.connect(index, process: 0), in: delay(of: .load, index))
            schedule(.tickWorker(index, process: 0), in: draw(1...Simulator.pulse))
        }
        counts.mostWorkers = world.workers
    }

    /// How often machines are told that time has passed, in milliseconds: twice a heartbeat.
    static let pulse = 500

    // MARK: Work

    func atoms(of key: WorkKey) -> [WorkAtom] { kinds.atoms(of: key) }

    func shard(of key: WorkKey) -> Int? { kinds.shard(of: key) }

    func result(of key: WorkKey) -> [UInt8] { kinds.result(of: key) }

    // MARK: Running

    /// Takes the next event; throws `Crash` when it ended the coordinator.
    func step() throws {
        guard let next = agenda.popMin() else { throw SimulationFailure("nothing is left to happen") }
        now = max(now, next.at)
        counts.events += 1
        // The limits are far beyond what any run needs.
        guard counts.events < 5_000_000, now < 4 * 3_600_000_000_000 else {
            throw SimulationFailure(
                "nothing finishes: \(counts.events) events, \(now / 1_000_000_000) s; "
                    + "workers \(coordinator?.workers.map { "\($0.phase) owes \($0.outstanding)" } ?? [])")
        }
        try happen(next.event)
    }

    func schedule(_ event: Event, in milliseconds: Int) {
        schedule(event, at: now + Int64(milliseconds) * 1_000_000)
    }

    func schedule(_ event: Event, at time: Int64) {
        entryNumber += 1
        agenda.insert(Entry(at: time, number: entryNumber, event: event))
    }

    /// One line of the event log; its hash is kept even where nobody reads it.
    func note(_ code: Int, _ text: @autoclosure () -> String) {
        var hash = counts.digest ^ UInt64(bitPattern: now) ^ UInt64(truncatingIfNeeded: code) << 48
        hash = (hash ^ hash >> 31) &* 0x9E37_79B9_7F4A_7C15
        counts.digest = hash ^ hash >> 29
        if let log { log("\(Double(now / 1_000_000) / 1000) s  \(text())") }
    }

    // MARK: Chance

    func draw(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    func strikes(_ fault: Fault) -> Bool {
        let chance = chances[fault.rawValue]
        guard chance > 0, faults < world.faultLimit, !isOver else { return false }
        guard Double(random.next() >> 11) * 0x1p-53 < chance else { return false }
        faults += 1
        struck[fault.rawValue] += 1
        note(fault.rawValue, "— \(fault.name)")
        return true
    }

    func delay(of kind: DelayKind, _ node: Int) -> Int {
        switch kind {
        case .load: strikes(.slowStart) ? draw(20_000...200_000) : draw(world.loading)
        case .compute: strikes(.straggler) ? draw(2_000...20_000) : draw(world.computing)
        }
    }

    enum DelayKind { case load, compute }
}

/// A machine's own idea of the time.
struct Clock {
    var origin: Int64 = 0
    var rate = 1.0

    func reading(at now: Int64) -> Instant {
        Instant(nanoseconds: origin + (rate == 1 ? now : Int64(Double(now) * rate)))
    }

    mutating func jump(byMilliseconds jump: Int) { origin += Int64(jump) * 1_000_000 }
}

/// A promise that was broken, with what is needed to see it again.
public struct SimulationFailure: Error, CustomStringConvertible {
    /// The promise.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// Deliberate mistakes, to show that the simulator sees them.
public enum Defect: String, CaseIterable, Sendable {
    case acknowledgesBeforeJournaling, foldsTwice, sumsInOrderOfArrival, leasesNeverExpire
}
