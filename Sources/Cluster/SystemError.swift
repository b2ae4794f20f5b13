internal import Glibc

/// What the system says of a call that failed.
enum SystemError {
    /// The words for an error number; the last call's unless given.
    static func message(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
}
