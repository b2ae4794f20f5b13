internal import ArgumentParser
internal import Cluster
internal import FoundationEssentials
internal import Pruning

/// Where workers on other machines come to.
struct ClusterOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Take workers from any machine: listen on tcp://HOST:PORT; HOST may be *, and PORT 0 for any.",
            valueName: "address"))
    var bind: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --bind: the coordinator's keys, from 'espalier keygen'.", valueName: "folder"),
        completion: .directory)
    var keys: String?
    @Flag(name: .long, help: "With --bind: no keys; whoever reaches the address can read model and data.")
    var insecure = false
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --bind: give up when there was no worker for so long. (default: wait)", valueName: "seconds"
        ))
    var workerTimeout: Double?
    @Flag(
        name: .long,
        help: """
            With --bind: take workers too whose losses differ in the last bits. With --resume: go on although this \
            machine's do. The summary names the machines.
            """)
    var allowMixedNumerics = false

    func validate() throws {
        guard let bind else {
            guard keys == nil, !insecure, workerTimeout == nil else {
                throw ValidationError("--keys, --insecure and --worker-timeout go with --bind")
            }
            return
        }
        try Self.check(bind, option: "--bind", keys: keys, insecure: insecure)
        if let workerTimeout, !(workerTimeout > 0 && workerTimeout < 1e9) {
            throw ValidationError("--worker-timeout must be a number of seconds above 0")
        }
    }

    /// Checks that there is something for `--allow-mixed-numerics` to allow.
    func checkNumerics(resumes: Bool) throws {
        guard !allowMixedNumerics || bind != nil || resumes else {
            throw ValidationError("--allow-mixed-numerics goes with --bind or --resume")
        }
    }

    /// Checks an address, and that it has either keys or `--insecure`.
    static func check(_ address: String, option: String, keys: String?, insecure: Bool) throws {
        guard ["tcp://", "ipc://"].contains(where: address.hasPrefix), address.count > 6 else {
            throw ValidationError("\(option) takes tcp://HOST:PORT, not '\(address)'")
        }
        if address.hasPrefix("tcp://") {
            let port = address.split(separator: ":", omittingEmptySubsequences: false).last ?? ""
            guard port == "*" || UInt16(port) != nil else {
                throw ValidationError(
                    "\(option) \(address): '\(port)' is not a port, a number up to \(UInt16.max)")
            }
        }
        guard keys == nil || !insecure else {
            throw ValidationError("--keys and --insecure exclude each other")
        }
        guard keys != nil || insecure || address.hasPrefix("ipc://") else {
            throw ValidationError(
                "\(address) can be reached from other machines: give --keys DIR ('espalier keygen' makes them), or "
                    + "--insecure")
        }
    }

    /// How many workers there are on this machine unless told otherwise.
    var defaultWorkers: Int { bind == nil ? ProcessInfo.processInfo.activeProcessorCount : 0 }

    /// The workers to take; `nil` without `--bind`.
    ///
    /// - Throws: `ClusterError.key` that names the file.
    func remote() throws -> RemoteWorkers? {
        guard let bind else { return nil }
        return RemoteWorkers(
            endpoint: bind,
            keys: try keys.map { folder throws(ClusterError) in try CoordinatorKeys(folder: folder) },
            timeout: workerTimeout.map { .milliseconds(Int64($0 * 1000)) },
            allowsMixedNumerics: allowMixedNumerics)
    }
}
