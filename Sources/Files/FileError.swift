internal import Glibc

/// Why a file could not be written, in the system's terms.
///
/// Whoever writes a model, a data set or a report puts it into its own.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file that was to be written, as the caller named it.
    public let path: String
    /// The system's error number.
    public let code: Int32
    /// Whether the disk, or the user's part of it, is full: room may be made. A device that takes no more never will.
    public let isDiskFull: Bool

    /// A failure to write `path`.
    ///
    /// - Parameter isDevice: whether it is no file on a disk.
    public init(path: String, code: Int32, isDevice: Bool = false) {
        self.path = path
        self.code = code
        isDiskFull = !isDevice && FileError.saysDiskFull(code)
    }

    /// The system's words, lower case as they go into a sentence.
    public var reason: String { FileError.reason(code) }

    /// The error as a sentence.
    public var description: String { "\(path): it cannot be written: \(reason)" }

    /// The system's words for an error number, lower case as they go into a sentence.
    public static func reason(_ code: Int32) -> String {
        let text = String(cString: strerror(code))
        return text.prefix(1).lowercased() + text.dropFirst()
    }

    /// Whether an error number tells of a full disk, or of a quota that is used up.
    public static func saysDiskFull(_ code: Int32) -> Bool { code == ENOSPC || code == EDQUOT }
}
