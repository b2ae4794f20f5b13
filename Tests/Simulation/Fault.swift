package import Coordination

/// What a simulated world does to coordinator and workers.
public enum Fault: Int, CaseIterable, Sendable {
    case loss, duplication, reordering, corruption
    case connectionBreak, unseenConnectionBreak, partition, partitionOfOneDirection
    case workerCrash, workerPause, taskFailure, loadFailure, straggler, hang, slowStart, workerClockJump,
        workerClockSetBack
    case coordinatorClockJump, coordinatorClockSetBack, coordinatorPause, coordinatorCrash
    case crashBeforeWrite, crashWithinWrite, crashAfterWrite, diskFull
    case strangerAsks, strangerTalks

    /// In words.
    public var name: String {
        "\(self)".reduce(into: "") { $0 += $1.isUppercase ? " " + $1.lowercased() : String($1) }
    }
}

/// How often each fault was injected, and how many runs had how much of what.
public struct SimulationCounts: Sendable {
    /// Injected faults.
    public var faults: [Fault: Int] = [:]
    /// Runs that had the fault at least once.
    public var runs: [Fault: Int] = [:]
    /// Events, i.e. calls of a state machine.
    public var events = 0
    /// Results that a coordinator took over from one that was gone.
    public var handovers = 0
    /// Shards that workers were told to hold and got.
    public var heldShards = 0
    /// How often seldom reached places of the state machines were reached.
    package var probes = ProbeCounts()
    /// Tasks handed out.
    public var assignments = 0
    /// Seeds that ended as they should.
    public var seeds = 0
    /// Simulated seconds.
    public var seconds = 0.0
    /// A hash of all events: the same for the same seed.
    public var digest: UInt64 = 0
    /// The most workers of a run.
    public var mostWorkers = 0

    /// Nothing yet.
    public init() {}

    /// Adds another count.
    public static func += (sum: inout SimulationCounts, other: SimulationCounts) {
        sum.faults.merge(other.faults, uniquingKeysWith: +)
        sum.runs.merge(other.runs, uniquingKeysWith: +)
        sum.events += other.events
        sum.handovers += other.handovers
        sum.probes += other.probes
        sum.heldShards += other.heldShards
        sum.assignments += other.assignments
        sum.seeds += other.seeds
        sum.seconds += other.seconds
        sum.digest &+= other.digest
        sum.mostWorkers = max(sum.mostWorkers, other.mostWorkers)
    }

    /// The probes that were never reached, in words.
    public var probesNotReached: [String] {
        Probe.allCases.filter { probes.counts[$0] == nil }.map(\.rawValue)
    }

    /// The probes' counts, one a line; those that were never reached first.
    public var probeTable: String {
        let width = Probe.allCases.map(\.rawValue.count).max() ?? 0
        return Probe.allCases.map { (probe: $0, count: probes.counts[$0] ?? 0) }
            .sorted { ($0.count, $0.probe.rawValue) < ($1.count, $1.probe.rawValue) }
            .map { $0.probe.rawValue.padding(to: width) + "\($0.count)".paddingLeft(to: 14) }
            .joined(separator: "\n")
    }

    /// The counts, one fault a line.
    public var table: String {
        let width = Fault.allCases.map(\.name.count).max() ?? 0
        func row(_ name: String, _ values: String...) -> String {
            name.padding(to: width) + values.map { $0.paddingLeft(to: 14) }.joined()
        }
        var lines = [row("fault", "injected", "seeds")]
        for fault in Fault.allCases {
            lines.append(row(fault.name, "\(faults[fault] ?? 0)", "\(runs[fault] ?? 0)"))
        }
        lines.append(
            "\(seeds) seeds, \(events) events, \(assignments) tasks handed out, \(handovers) results taken over, "
                + "\(heldShards) shards fetched, up to \(mostWorkers) workers")
        return lines.joined(separator: "\n")
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
    fileprivate func paddingLeft(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}
