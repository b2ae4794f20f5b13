internal import ArgumentParser
internal import Cluster
internal import Coordination
internal import Dispatch
internal import Glibc
internal import Pruning
internal import Report

struct WorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Compute for a coordinator.",
        discussion: """
            Connects to a coordinator, loads the model and data that it names, and computes tasks until the run is over. \
            'espalier prune --workers N' starts its own workers: this command is for starting one by hand.
            """)

    @Option(
        name: .long, help: ArgumentHelp("The coordinator's address: ipc://PATH.", valueName: "address"))
    var connect: String
    @Flag(name: .long, help: ArgumentHelp("End when standard input is closed.", visibility: .hidden))
    var exitWithParent = false
    @OptionGroup var log: LogOption
    @OptionGroup var json: JSONOption

    func run() throws {
        if exitWithParent { ParentWatch.start(endpoint: connect) }
        let service: WorkerService
        do {
            service = try WorkerService(
                endpoint: connect, softwareVersion: Pruning.Espalier.version,
                logger: log.logger("espalier.worker"))
        } catch {
            StandardError.write("espalier: \(error)\n")
            throw ExitStatus.badInput
        }
        // The first signal lets the worker give its task back; it says goodbye and ends.
        let sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { service.terminate() }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        let report = json.path
        let ending = service.run(whenOver: { ending in
            if ending.exitStatus != 0 { StandardError.write("espalier: \(ending)\n") }
            if let report { try? JSONOutput.write(EndingReport(ending), to: report) }
            // A computation that nobody waits for any more is not worth finishing.
            _exit(ending.exitStatus)
        }) { try EngineComputation($0) }
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
