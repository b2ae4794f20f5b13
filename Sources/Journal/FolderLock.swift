internal import Files
internal import Foundation

/// The right to write to a run: an exclusive lock on a file in its folder, held until this is released.
///
/// The system frees the lock when the process ends, however it ends, so a run never stays locked after a crash. The
/// file itself stays: removing it could give two processes a lock each.
final class FolderLock: Sendable {
    static let fileName = "run.lock"
    private let descriptor: Int32

    /// Takes the lock, or says who has it.
    init(folder: String) throws(JournalError) {
        let path = folder + "/" + FolderLock.fileName
        // Worker processes that are started later must not inherit the lock.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            guard !FileError.saysDiskFull(errno) else { throw .diskFull(file: path) }
            throw .notWritable(path: path, reason: JournalError.message(errno))
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            let holder = FolderLock.holder(descriptor)
            close(descriptor)
            guard code == EWOULDBLOCK else {
                throw .notWritable(path: path, reason: JournalError.message(code))
            }
            throw .locked(folder: folder, process: holder)
        }
        let text = "\(getpid())\n"
        // Who holds the lock is only told; the lock works without it, e.g. on a full disk.
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, text, text.utf8.count, 0) }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    private static func holder(_ descriptor: Int32) -> Int? {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int(
            String(decoding: bytes.prefix(count), as: UTF8.self).trimmingCharacters(
                in: .whitespacesAndNewlines))
    }
}
