internal import Files
internal import Glibc

/// Writes text straight to a descriptor, so that nothing is lost in a buffer when the process ends.
enum FileHandleWriter {
    /// Whoever does not read on wants no more of it.
    static func write(_ text: String, to descriptor: Int32) {
        try? OpenFile.write(text.utf8, to: descriptor, path: "descriptor \(descriptor)")
    }

    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// The columns of a terminal as it is now; `nil` where they are not known.
    static func columns(_ descriptor: Int32) -> Int? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }
}
