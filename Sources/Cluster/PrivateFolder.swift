internal import FoundationEssentials
internal import Glibc

/// A folder that only this user can enter, for the socket of local workers. It goes when its owner goes; what a
/// killed owner left is removed by its workers, or else by the next owner.
final class PrivateFolder: Sendable {
    let path: String
    private let lock: Int32

    private static let prefix = "espalier-"
    private static let lockName = "/lock"
    static let socketName = "/coordinator"
    /// The longest path of a Unix socket, without the zero at its end.
    private static let longestSocketPath = 107

    /// Makes a folder in `$XDG_RUNTIME_DIR`, or in the system's folder for temporary files.
    ///
    /// - Throws: `ClusterError.folder`.
    init() throws(ClusterError) {
        let base = PrivateFolder.base
        PrivateFolder.removeStale(in: base)
        var template = Array("\(base)/\(PrivateFolder.prefix)\(getpid())-XXXXXX".utf8CString)
        // mkdtemp gives it mode 0700.
        guard mkdtemp(&template) != nil else {
            throw .folder(path: base, reason: SystemError.message())
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        lock = open(path + PrivateFolder.lockName, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let reason = SystemError.message()
            throw .folder(path: path, reason: reason)
        }
    }

    deinit {
        PrivateFolder.remove(path)
        if lock >= 0 { close(lock) }
    }

    /// The endpoint of a socket in the folder.
    var endpoint: String { "ipc://\(path)\(PrivateFolder.socketName)" }

    /// The first folder for temporary files that is short enough for a socket's path.
    private static var base: String {
        let variables = ["XDG_RUNTIME_DIR", "TMPDIR"].compactMap { ProcessInfo.processInfo.environment[$0] }
        let longest =
            longestSocketPath - socketName.utf8.count - prefix.utf8.count - "/4194304-XXXXXX".utf8.count
        return variables.first { $0.hasPrefix("/") && $0.utf8.count <= longest && access($0, W_OK) == 0 }
            ?? "/tmp"
    }

    /// Removes folders whose owners were killed: their process is gone, and nobody holds their lock. (The process
    /// number alone could mislead: containers that share the folder number their processes separately.)
    private static func removeStale(in base: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        where name.hasPrefix(prefix) {
            guard
                let process = name.dropFirst(prefix.count).split(separator: "-").first.flatMap({ Int32($0) }),
                kill(process, 0) != 0, errno == ESRCH
            else { continue }
            _ = removeUnlocked("\(base)/\(name)")
        }
    }

    /// Removes the folder of a local endpoint whose owner was killed; that of a living owner stays.
    ///
    /// The system releases a killed owner's lock about when it closes the pipes by which workers notice.
    static func removeAbandoned(endpoint: String) {
        guard endpoint.hasPrefix("ipc://"), endpoint.hasSuffix(socketName) else { return }
        let path = String(endpoint.dropFirst("ipc://".count).dropLast(socketName.count))
        for _ in 0..<5 where !removeUnlocked(path) { usleep(20_000) }
    }

    /// Removes a folder unless someone holds its lock; whether it is gone.
    private static func removeUnlocked(_ path: String) -> Bool {
        let lock = open(path + lockName, O_RDWR | O_CLOEXEC)
        guard lock >= 0 else { return true }
        defer { close(lock) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { return false }
        remove(path)
        return true
    }

    /// Removes the two files that such a folder holds, and the folder; anything else in it stays.
    private static func remove(_ path: String) {
        unlink(path + socketName)
        unlink(path + lockName)
        rmdir(path)
    }
}
