internal import Files
internal import Foundation

/// Whether there is room on a disk.
enum DiskRoom {
    /// Whether the disk of `file`, or the user's part of it, has no room for a write.
    ///
    /// Asked where SQLite speaks of an input/output error: it does so for a quota that is used up, and for a file system
    /// that notices only when it is to make a write last; and it does not tell which error of the system it was. So
    /// what it tried is tried again.
    static func isMissing(beside file: String) -> Bool {
        var template = Array((file + ".room-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { return FileError.saysDiskFull(errno) }
        defer { close(descriptor) }
        unlink(template)
        // As much as SQLite writes at once, at the most.
        let page = [UInt8](repeating: 1, count: 1 << 16)
        let written = write(descriptor, page, page.count)
        // A write that is cut off says nothing, the next one does.
        if written >= 0, written < page.count {
            return write(descriptor, page, page.count) < 0 && FileError.saysDiskFull(errno)
        }
        return (written < 0 || fsync(descriptor) != 0) && FileError.saysDiskFull(errno)
    }
}
