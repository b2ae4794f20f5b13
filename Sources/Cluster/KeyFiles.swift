internal import Foundation
internal import Glibc
internal import ZeroMQ

/// Keys on disk: one key per file, 40 characters of Z85 on a line of its own; lines that begin with `#` do not count.
///
/// ```
/// coordinator/secret.key               only its owner can read it
/// coordinator/public.key
/// coordinator/authorized/NAME.key      the public keys of workers that are let in
/// NAME/secret.key                      a worker's own; several workers may share it
/// NAME/public.key
/// NAME/coordinator.key                 the public key that the coordinator must have
/// ```
enum KeyFiles {
    static let secret = "secret.key"
    static let publicKey = "public.key"
    static let coordinator = "coordinator.key"
    static let authorized = "authorized"

    /// A secret key's pair.
    ///
    /// - Throws: `ClusterError.key`, also for a file that others than its owner can read.
    static func pair(at path: String) throws(ClusterError) -> CurveKeyPair {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw .key(path: path, reason: "the key cannot be read: \(SystemError.message())")
        }
        // As ssh does it: one's own file is for oneself alone. One that somebody else keeps for this user, as
        // Kubernetes does, may be lent by its group.
        guard status.st_mode & (status.st_uid == geteuid() ? 0o077 : 0o007) == 0 else {
            let mode = String(status.st_mode & 0o777, radix: 8)
            throw .key(
                path: path,
                reason: "others than its owner can use this secret key (mode 0\(mode)): chmod 600 \(path)")
        }
        let text = try line(of: path)
        do { return try CurveKeyPair(secretKey: CurveSecretKey(z85: text)) } catch {
            throw .key(path: path, reason: "\(error)")
        }
    }

    /// A public key.
    static func publicKey(at path: String) throws(ClusterError) -> CurvePublicKey {
        let text = try line(of: path)
        do { return try CurvePublicKey(z85: text) } catch { throw .key(path: path, reason: "\(error)") }
    }

    /// The public keys in a folder.
    ///
    /// - Throws: `ClusterError.key`, also for a folder in which others could put keys.
    static func publicKeys(in folder: String) throws(ClusterError) -> Set<CurvePublicKey> {
        var status = stat()
        guard stat(folder, &status) == 0,
            let names = try? FileManager.default.contentsOfDirectory(atPath: folder)
        else { throw .key(path: folder, reason: "the folder of authorized keys cannot be read") }
        guard status.st_mode & 0o022 == 0 || status.st_mode & S_ISVTX != 0 else {
            throw .key(
                path: folder,
                reason: "others than its owner can add keys to this folder: chmod go-w \(folder)")
        }
        var keys: Set<CurvePublicKey> = []
        for name in names.sorted() where name.hasSuffix(".key") && !name.hasPrefix(".") {
            keys.insert(try publicKey(at: "\(folder)/\(name)"))
        }
        return keys
    }

    private static func line(of path: String) throws(ClusterError) -> String {
        let bytes: Data
        do {
            let file = try FileHandle(forReadingFrom: URL(filePath: path))
            defer { try? file.close() }
            // A key file is short; whatever else this is, it is not read.
            bytes = try file.read(upToCount: 4096) ?? Data()
        } catch { throw .key(path: path, reason: "the key cannot be read: \(error.localizedDescription)") }
        let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
            .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard lines.count == 1 else { throw .key(path: path, reason: "it does not hold one key") }
        return lines[0]
    }

    /// Writes a file that was not there before.
    static func write(_ text: String, to path: String, mode: mode_t) throws(ClusterError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw .key(
                path: path,
                reason: errno == EEXIST
                    ? "it is there already, and keys are never overwritten"
                    : "it cannot be written: \(SystemError.message())")
        }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard fchmod(descriptor, mode) == 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count,
            fsync(descriptor) == 0
        else {
            let reason = SystemError.message()
            unlink(path)
            throw .key(path: path, reason: "it cannot be written: \(reason)")
        }
    }

    /// Makes a folder that only its owner can enter, unless it is there.
    static func makeFolder(_ path: String) throws(ClusterError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw .key(path: path, reason: "the folder cannot be made: \(error.localizedDescription)")
        }
    }

    static func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

extension CoordinatorKeys {
    /// The keys in a folder that `KeyGeneration` made: the coordinator's own one, or the one that holds it.
    ///
    /// - Throws: `ClusterError.key` that names the file.
    public init(folder: String) throws(ClusterError) {
        let inner = "\(folder)/\(KeyGeneration.coordinatorName)"
        let place = KeyFiles.isThere("\(folder)/\(KeyFiles.authorized)") ? folder : inner
        guard KeyFiles.isThere(place) else {
            throw .key(
                path: folder,
                reason:
                    "there are no coordinator's keys (secret.key and authorized/): make them with 'espalier keygen'"
            )
        }
        let own = try KeyFiles.pair(at: "\(place)/\(KeyFiles.secret)")
        self.init(
            secretKey: own.secretKey, allowed: try KeyFiles.publicKeys(in: "\(place)/\(KeyFiles.authorized)"),
            folder: "\(place)/\(KeyFiles.authorized)")
    }
}

extension WorkerKeys {
    /// The keys in a folder that `KeyGeneration` made: a worker's own one, or one that holds the folder `worker`.
    ///
    /// - Throws: `ClusterError.key` that names the file.
    public init(folder: String) throws(ClusterError) {
        let inner = "\(folder)/\(KeyGeneration.workerName)"
        let place = KeyFiles.isThere("\(folder)/\(KeyFiles.coordinator)") ? folder : inner
        guard KeyFiles.isThere("\(place)/\(KeyFiles.coordinator)") else {
            throw .key(
                path: folder,
                reason:
                    "there are no worker's keys (secret.key and coordinator.key): make them with 'espalier keygen', and "
                    + "give the folder of one worker")
        }
        let own = try KeyFiles.pair(at: "\(place)/\(KeyFiles.secret)")
        self.init(own: own, coordinator: try KeyFiles.publicKey(at: "\(place)/\(KeyFiles.coordinator)"))
    }
}
