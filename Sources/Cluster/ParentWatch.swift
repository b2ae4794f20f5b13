internal import Foundation
internal import Glibc

/// Ends this process when its parent does, however that dies: the parent holds the other end of standard input.
public enum ParentWatch {
    /// Starts a thread that waits for the end of standard input, and then ends the process at once.
    ///
    /// - Parameters:
    ///   - endpoint: where the parent listens; its private folder goes too when the parent was killed.
    ///   - status: the exit status.
    public static func start(endpoint: String, exitStatus status: Int32 = 0) {
        let thread = Thread {
            var byte: UInt8 = 0
            while true {
                let count = read(0, &byte, 1)
                if count > 0 || (count < 0 && errno == EINTR) { continue }
                PrivateFolder.removeAbandoned(endpoint: endpoint)
                _exit(status)
            }
        }
        thread.name = "espalier-parent-watch"
        thread.start()
    }
}
