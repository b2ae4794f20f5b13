internal import Files
internal import Glibc

/// Text results: to a file, complete or not at all, or to standard output.
public enum TextOutput {
    /// Writes `text` to the file `path`, or to standard output when that is `-`.
    ///
    /// - Throws: `ReportError.unwritable`, `ReportError.diskFull`; a file that was there is then untouched.
    public static func write(_ text: String, to path: String) throws(ReportError) {
        do throws(FileError) {
            guard path != "-" else {
                return try OpenFile.write(text.utf8, to: STDOUT_FILENO, path: "standard output")
            }
            let file = try AtomicFile(path)
            try file.write(text.utf8)
            try file.commit()
        } catch {
            throw error.isDiskFull
                ? .diskFull(path: path) : .unwritable(path: error.path, reason: error.reason)
        }
    }
}
