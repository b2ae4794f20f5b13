import Foundation
import Simulation

/// `espalier-simulate`: simulates searches on a rough cluster, one seed each and as many at once as there are
/// processors, and prints what was injected.
@main struct Simulate {
    static func main() async {
        var seeds: UInt64 = 1000
        var first: UInt64 = 0
        var single: UInt64?
        var defect: Defect?
        var arguments = CommandLine.arguments.dropFirst()
        while let name = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch (name, UInt64(value)) {
            case ("--seeds", let number?): seeds = number
            case ("--first", let number?): first = number
            case ("--seed", let number?): single = number
            case ("--defect", nil) where Defect(rawValue: value) != nil: defect = Defect(rawValue: value)
            default:
                say("usage: Scripts/simulate [--seeds N] [--first S] [--seed S] [--defect NAME]")
                exit(64)
            }
        }
        if let single {
            let isGood = await run(single, defect) { print($0) } != nil
            exit(isGood ? 0 : 1)
        }
        var counts = SimulationCounts()
        var failures = 0
        let start = ContinuousClock.now
        // Seeds know nothing of each other, and their counts are sums: the table is the same in any order.
        var waiting = (first..<first + seeds).makeIterator()
        await withTaskGroup(of: SimulationCounts?.self) { group in
            func start() {
                guard failures < 5, let seed = waiting.next() else { return }
                group.addTask { [defect] in await run(seed, defect, log: nil) }
            }
            for _ in 0..<ProcessInfo.processInfo.activeProcessorCount { start() }
            for await own in group {
                if let own { counts += own } else { failures += 1 }
                if own != nil, counts.seeds % 50_000 == 0 { say("\(counts.seeds) seeds") }
                start()
            }
        }
        print(counts.table)
        print(counts.probeTable)
        if !counts.probesNotReached.isEmpty {
            say("never reached: " + counts.probesNotReached.joined(separator: "; "))
        }
        print("\(start.duration(to: .now)); \(failures) seeds failed")
        exit(failures == 0 ? 0 : 1)
    }

    private static func run(_ seed: UInt64, _ defect: Defect?, log: (@Sendable (String) -> Void)?) async
        -> SimulationCounts?
    {
        do {
            let counts = try await Simulation(seed: seed, defect: defect, log: log).run()
            log?("seed \(seed) ended as it should; the events' hash is \(counts.digest)")
            return counts
        } catch {
            let option = defect.map { " --defect \($0.rawValue)" } ?? ""
            say("seed \(seed): \(error)\n  see it again: Scripts/simulate --seed \(seed)\(option)")
            return nil
        }
    }

    private static func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}
