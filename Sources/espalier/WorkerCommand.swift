internal import ArgumentParser
internal import Cluster
internal import Coordination
internal import Engine
internal import Glibc
internal import Pruning
internal import Report
internal import Computations

struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Compute for a coordinator.",
        discussion: """
              espalier worker --connect tcp://coordinator:5555 --keys keys/worker

            Connects to a coordinator ('espalier prune --bind'), whenever that comes, gets model and data from it, and \
            computes tasks until the run is over. What it gets is kept in a cache, which all workers of a machine share. \
            Start as many as the machine has cores: each computes on one thread. They may come and go at any time.

            'espalier prune --workers N' starts its own workers.
            """)

    @Option(
        name: .long, help: ArgumentHelp("The coordinator's address: tcp://HOST:PORT.", valueName: "address"))
    var connect: String
    @Option(
        name: .long, help: ArgumentHelp("This worker's keys, from 'espalier keygen'.", valueName: "folder"),
        completion: .directory)
    var keys: String?
    @Flag(name: .long, help: "No keys: whoever answers at the address is believed.")
    var insecure = false
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where model and data are kept. (default: $XDG_CACHE_HOME/espalier, or ~/.cache/espalier)",
            valueName: "folder"), completion: .directory)
    var cache: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What the cache may hold, e.g. 500M or 100G; what was used longest ago goes first.",
            valueName: "bytes"))
    var cacheLimit = ByteCount(ContentCache.defaultLimit)
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Memory that this worker may take, e.g. 512M or 4G. (default: what the coordinator says)",
            valueName: "bytes"))
    var memory: ByteCount?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Give up when no coordinator answered for so long. (default: wait)", valueName: "seconds"))
    var coordinatorTimeout: Double?
    @Flag(
        name: .long,
        help: "Get model and data from the coordinator even where the files that it reads are here too.")
    var stream = false
    @Flag(name: .long, help: ArgumentHelp("End when standard input is closed.", visibility: .hidden))
    var exitWithParent = false
    @OptionGroup var log: LogOption
    @OptionGroup var json: JSONOption

    func validate() throws {
        try ClusterOptions.check(connect, option: "--connect", keys: keys, insecure: insecure)
        if let coordinatorTimeout, !(coordinatorTimeout > 0 && coordinatorTimeout < 1e9) {
            throw ValidationError("--coordinator-timeout must be a number of seconds above 0")
        }
    }

    func run() throws {
        if exitWithParent { ParentWatch.start(endpoint: connect) { _exit(0) } }
        let service: WorkerService
        do {
            service = try WorkerService(
                endpoint: connect,
                keys: keys.map { folder throws(ClusterError) in try WorkerKeys(folder: folder) },
                isInsecure: insecure,
                cache: ContentCache(
                    folder: cache ?? ContentCache.defaultFolder, limit: cacheLimit.bytes),
                softwareVersion: Pruning.Espalier.version, engine: EngineDescription.text,
                memory: memory?.bytes, logger: log.logger("espalier.worker")
            ) { settings in
                settings.coordinatorLimit = coordinatorTimeout.map { .milliseconds(Int64($0 * 1000)) }
            }
        } catch {
            StandardError.write("espalier: \(error)\n")
            throw ExitStatus.badInput
        }
        // The first signal lets the worker give its task back; it says goodbye and ends.
        let signals = SignalWatch {
            StandardError.interrupted()
            service.terminate()
        }
        defer { withExtendedLifetime(signals) {} }
        let (report, usesPaths) = (json.path, !stream)
        let ending = service.run(whenOver: { ending in
            StandardError.write("espalier: \(ending)\n")
            if let report { try? JSONOutput.write(EndingReport(ending), to: report) }
            // A computation that nobody waits for any more is not worth finishing.
            _exit(ending.exitStatus)
        }) { try EngineComputation($0, contents: $1, usesPaths: usesPaths, memory: memory?.bytes) }
        throw ExitCode(ending.exitStatus)
    }
}

/// Why a worker ended, for machines.
private struct EndingReport: Encodable {
    let ending: String
    let exitStatus: Int32

    init(_ ending: WorkerEnding) {
        self.ending = "\(ending)"
        exitStatus = ending.exitStatus
    }
}
