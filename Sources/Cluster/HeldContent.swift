internal import Coordination
internal import Glibc

/// A content in the cache, and the lock that keeps it there for as long as this lives.
///
/// Whoever trims the cache leaves alone what somebody has locked. The system releases the locks of a process that died.
final class HeldContent: Sendable {
    /// The content's file.
    let path: String
    private let descriptor: Int32

    /// Takes over a descriptor of the content's file, which holds a shared lock where the file system has locks.
    init(path: String, locked descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
        // What was used last goes last.
        futimens(descriptor, nil)
    }

    /// Locks the content of that name; `nil` when there is none.
    convenience init?(path: String) {
        // One that is just being removed, or put into place, is soon gone, or free.
        for _ in 0..<100 {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            guard descriptor >= 0 else { return nil }
            let isLocked = flock(descriptor, LOCK_SH | LOCK_NB) == 0
            // Without locks at all it is used as it is.
            let mustWait = !isLocked && errno == EWOULDBLOCK
            var (opened, named) = (stat(), stat())
            if !mustWait, fstat(descriptor, &opened) == 0, stat(path, &named) == 0,
                opened.st_ino == named.st_ino
            {
                self.init(path: path, locked: descriptor)
                return
            }
            close(descriptor)
            usleep(10_000)
        }
        return nil
    }

    deinit { close(descriptor) }
}
