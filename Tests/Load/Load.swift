import Cluster
import Coordination
import Foundation
import Journal
import Logging
import Search

/// `espalier-load`: the real coordinator and real connections over TCP, with tasks that compute nothing.
///
///     espalier-load [--workers 2] [--tasks 2000] [--seconds S] [--journal] [--json -]
///
/// The workers live in a second process, so that this one's CPU time is the coordinator's alone. With `--seconds` it
/// says where more workers may connect, and each second how many tasks are done.
@main struct Load {
    static func main() async {
        do {
            let options = try LoadOptions(CommandLine.arguments.dropFirst())
            if let endpoint = options.endpoint {
                try IdleWorker.run(count: options.workers, endpoint: endpoint)
            } else {
                try await measure(options)
            }
        } catch let error as LoadOptions.Usage {
            say(error.description)
            exit(64)
        } catch {
            say("\(error)")
            exit(70)
        }
    }

    private static func measure(_ options: LoadOptions) async throws {
        let problem = try LoadProblem(tasks: options.tasks)
        let folder = NSTemporaryDirectory() + "/espalier-load-\(ProcessInfo.processInfo.processIdentifier)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var journal: RunJournal?
        if options.keepsJournal {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            journal = try RunJournal.create(in: folder + "/run", identity: problem.identity)
        }
        var logger = Logger(label: "espalier.load")
        logger.logLevel = .warning
        let runner = try ClusterRunner(
            problem.settings, endpoint: "tcp://127.0.0.1:*", isInsecure: true, journal: journal,
            logger: logger)
        let workers = Process()
        workers.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        workers.arguments = ["--connect", runner.endpoint, "--workers", "\(options.workers)"]
        try workers.run()
        defer {
            runner.shutdown()
            workers.waitUntilExit()
        }
        while runner.workers.count(where: { $0.phase == .ready }) < options.workers {
            guard workers.isRunning else { throw LoadFailure("the workers' process ended") }
            try await Task.sleep(for: .milliseconds(20))
        }
        // Everybody has computed something before it counts.
        let warmUp = try LoadProblem(tasks: 20 * options.workers)
        _ = try await runner.run(warmUp.race(1))

        if options.seconds != nil { say("listening at \(runner.endpoint)") }
        let (start, before) = (ContinuousClock.now, ProcessTime.now)
        var (tasks, number, told) = (0, 2, start)
        repeat {
            let outcome = try await runner.run(problem.race(number)).outcome()
            // A task that came back late may be answered twice; it counts once.
            let counted = outcome.work.blockEvaluations
            guard counted == options.tasks, outcome.best.first?.loss == LoadProblem.loss else {
                throw LoadFailure("\(counted) tasks gave the loss \(outcome.best.first?.loss ?? .nan)")
            }
            (tasks, number) = (tasks + options.tasks, number + 1)
            if options.seconds != nil, .now - told > .seconds(1) {
                told = .now
                say("\(tasks) tasks")
            }
        } while options.seconds.map { .now - start < .seconds($0) } ?? false
        let (seconds, used) = ((ContinuousClock.now - start) / .seconds(1), ProcessTime.now - before)
        try LoadResult(
            workers: options.workers, tasks: tasks, seconds: seconds, coordinatorSeconds: used,
            tasksPerSecond: Double(tasks) / seconds, journal: options.keepsJournal
        ).write(to: options.json)
    }

    private static func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
}

/// A measurement that means nothing, as a sentence.
struct LoadFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
