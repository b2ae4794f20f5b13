internal import ArgumentParser
internal import Cluster
internal import Foundation
internal import Pruning

/// A command that workers compute for.
protocol TeamCommand {
    var local: LocalWorkersOption { get }
    var cluster: ClusterOptions { get }
}

extension TeamCommand {
    /// How many workers there are on this machine.
    var localWorkers: Int { local.workers ?? cluster.defaultWorkers }

    /// How many workers share one machine's memory. Those on other machines are taken to be one for every core.
    var sharingWorkers: Int {
        cluster.bind == nil
            ? localWorkers : max(localWorkers, ProcessInfo.processInfo.activeProcessorCount)
    }
}

/// How many worker processes a command starts.
struct LocalWorkersOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Worker processes on this machine; 0 searches in this process. (default: one per core; none with --bind)",
            valueName: "N"))
    var workers: Int?

    func validate() throws {
        if let workers, !(0...1024).contains(workers) {
            throw ValidationError("--workers must be between 0 and 1024")
        }
    }
}
