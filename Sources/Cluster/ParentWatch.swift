internal import Foundation
internal import Glibc

/// Notices when this process's parent ends, however that dies: the parent holds the other end of standard input.
public enum ParentWatch {
    /// Starts a thread that waits for the end of standard input.
    ///
    /// - Parameters:
    ///   - endpoint: where the parent listens; its private folder goes too when the parent was killed.
    ///   - onEnd: called on that thread; a process that works for nobody else ends itself here.
    public static func start(endpoint: String, onEnd: @escaping @Sendable () -> Void) {
        let thread = Thread {
            var byte: UInt8 = 0
            while true {
                let count = read(0, &byte, 1)
                if count > 0 || (count < 0 && errno == EINTR) { continue }
                PrivateFolder.removeAbandoned(endpoint: endpoint)
                return onEnd()
            }
        }
        thread.name = "espalier-parent-watch"
        thread.start()
    }
}
