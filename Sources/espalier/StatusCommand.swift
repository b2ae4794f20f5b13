internal import ArgumentParser
internal import Cluster
internal import Foundation
internal import Pruning
internal import Report

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Ask a running coordinator how far it is.",
        discussion: """
              espalier status --connect tcp://coordinator:5555 --keys keys/worker

            Shows the path so far, the level in work with its rate and the time that it takes at most, and the workers. \
            Any worker's keys will do.
            """)

    @Option(
        name: .long, help: ArgumentHelp("The coordinator's address: tcp://HOST:PORT.", valueName: "address"))
    var connect: String
    @Option(
        name: .long, help: ArgumentHelp("A worker's keys, from 'espalier keygen'.", valueName: "folder"),
        completion: .directory)
    var keys: String?
    @Flag(name: .long, help: "No keys: whoever answers at the address is believed.")
    var insecure = false
    @Option(name: .long, help: ArgumentHelp("How long to wait for an answer.", valueName: "seconds"))
    var timeout = 5.0
    @OptionGroup var json: JSONOption

    func validate() throws {
        try ClusterOptions.check(connect, option: "--connect", keys: keys, insecure: insecure)
        guard timeout > 0 && timeout < 1e6 else {
            throw ValidationError("--timeout must be a number of seconds above 0")
        }
    }

    func run() async throws {
        try await reporting {
            try json.checkWritable(given: GivenFiles(models: []))
            let answer = try StatusRequest.status(
                of: connect, keys: keys.map { folder throws(ClusterError) in try WorkerKeys(folder: folder) },
                within: .milliseconds(Int64(timeout * 1000)))
            let status: RunStatus
            do { status = try JSONDecoder().decode(RunStatus.self, from: answer) } catch {
                throw ClusterError.noStatus(endpoint: connect, reason: "the answer is no status: \(error)")
            }
            if let path = json.path { try JSONOutput.write(status, to: path) }
            if !json.takesStandardOutput { StandardOutput.write(status.plain(width: StandardOutput.width)) }
        }
    }
}
