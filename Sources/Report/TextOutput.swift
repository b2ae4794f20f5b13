internal import Foundation

/// Text results: to a file, complete or not at all, or to standard output.
public enum TextOutput {
    /// Writes `text` to the file `path`, or to standard output when that is `-`.
    ///
    /// - Throws: `ReportError.unwritable`, `ReportError.diskFull`; a file that was there is then untouched.
    public static func write(_ text: String, to path: String) throws(ReportError) {
        guard path != "-" else {
            if let code = writeAll(text, to: STDOUT_FILENO) { throw failure("standard output", code) }
            return
        }
        // A device or a pipe, e.g. /dev/stderr, cannot be replaced by a file.
        if let descriptor = openSpecial(path) {
            defer { close(descriptor) }
            if let code = writeAll(text, to: descriptor) { throw failure(path, code) }
            return
        }
        var template = Array((path + ".XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else {
            throw [ENOSPC, EDQUOT].contains(errno) ? .diskFull(path: path) : failure(path, errno)
        }
        let code = finish(text, descriptor, template, path)
        close(descriptor)
        if let code {
            unlink(template)
            // Room on a disk may be made; a device that takes no more never will.
            throw [ENOSPC, EDQUOT].contains(code) ? .diskFull(path: path) : failure(path, code)
        }
    }

    /// Fills the temporary file and puts it in its place.
    ///
    /// - Returns: the system's error number, if something failed.
    private static func finish(_ text: String, _ descriptor: Int32, _ temporary: [CChar], _ path: String)
        -> Int32?
    {
        // mkstemp makes private files; give this one what any new file gets.
        let mask = umask(0)
        umask(mask)
        guard fchmod(descriptor, 0o666 & ~mask) == 0 else { return errno }
        if let code = writeAll(text, to: descriptor) { return code }
        return fsync(descriptor) == 0 && rename(temporary, path) == 0 ? nil : errno
    }

    private static func openSpecial(_ path: String) -> Int32? {
        var status = stat()
        guard stat(path, &status) == 0, ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) else {
            return nil
        }
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        return descriptor >= 0 ? descriptor : nil
    }

    private static func writeAll(_ text: String, to descriptor: Int32) -> Int32? {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if written > 0 {
                bytes = bytes.dropFirst(written)
            } else if written == 0 || errno != EINTR {
                return errno
            }
        }
        return nil
    }

    private static func failure(_ path: String, _ code: Int32) -> ReportError {
        .unwritable(path: path, reason: String(cString: strerror(code)))
    }
}
