internal import Foundation
internal import Glibc
internal import ZeroMQ

/// Makes keys for a coordinator and its workers: `espalier keygen`.
public struct KeyGeneration: Sendable {
    static let coordinatorName = "coordinator"
    static let workerName = "worker"

    /// Whether the coordinator's keys were made too, or were there already.
    public let madeCoordinator: Bool
    /// The coordinator's folder.
    public let coordinator: String
    /// The worker's folder.
    public let worker: String
    /// The worker's name.
    public let name: String

    /// Makes the keys of a worker in `folder`, and the coordinator's unless they are there. Nothing is overwritten.
    ///
    /// - Parameter name: the worker's name; `worker` unless given.
    /// - Throws: `ClusterError.key` that names the file.
    public init(in folder: String, worker name: String? = nil) throws {
        let own = name ?? Self.workerName
        guard !own.isEmpty, own != Self.coordinatorName, !own.hasPrefix("."), own.utf8.count <= 100,
            own.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) })
        else {
            throw ClusterError.key(
                path: folder,
                reason:
                    "'\(own)' cannot be a worker's name: letters, digits, '-', '_' and '.', not 'coordinator'"
            )
        }
        self.name = own
        coordinator = "\(folder)/\(Self.coordinatorName)"
        worker = "\(folder)/\(own)"
        let authorized = "\(coordinator)/\(KeyFiles.authorized)"
        for path in [worker, "\(authorized)/\(own).key"] where KeyFiles.isThere(path) {
            throw ClusterError.key(
                path: path,
                reason:
                    "it is there already, and keys are never overwritten; 'keygen \(folder) --worker NAME' adds another "
                    + "worker")
        }
        let pair: CurveKeyPair
        if KeyFiles.isThere(coordinator) {
            madeCoordinator = false
            pair = try KeyFiles.pair(at: "\(coordinator)/\(KeyFiles.secret)")
        } else {
            madeCoordinator = true
            pair = try .generate()
            for path in [folder, coordinator, authorized] { try KeyFiles.makeFolder(path) }
            try KeyFiles.write(
                "\(pair.secretKey.z85)\n", to: "\(coordinator)/\(KeyFiles.secret)", mode: 0o600)
            try KeyFiles.write(
                "\(pair.publicKey.z85)\n", to: "\(coordinator)/\(KeyFiles.publicKey)", mode: 0o644)
        }
        let workerPair = try CurveKeyPair.generate()
        try KeyFiles.makeFolder(worker)
        try KeyFiles.write("\(workerPair.secretKey.z85)\n", to: "\(worker)/\(KeyFiles.secret)", mode: 0o600)
        try KeyFiles.write(
            "\(workerPair.publicKey.z85)\n", to: "\(worker)/\(KeyFiles.publicKey)", mode: 0o644)
        try KeyFiles.write("\(pair.publicKey.z85)\n", to: "\(worker)/\(KeyFiles.coordinator)", mode: 0o644)
        try KeyFiles.write("\(workerPair.publicKey.z85)\n", to: "\(authorized)/\(own).key", mode: 0o644)
    }

    /// What was made, and what goes where.
    public var text: String {
        let made =
            madeCoordinator
            ? """
            \(coordinator)  the coordinator's keys, and in authorized/ those of the workers that may come.
                Keep it where 'espalier prune --bind tcp://HOST:PORT --keys \(coordinator)' runs; its secret.key goes nowhere else.

            """
            : "\(coordinator)  is as it was, and lets in '\(name)' too: copy authorized/\(name).key to where it is used.\n"
        return made
            + """
            \(worker)  a worker's keys: copy this folder to the workers' machines, over a safe way.
                There 'espalier worker --connect tcp://HOST:PORT --keys \(name)'; several workers may share it.

            """
    }
}
