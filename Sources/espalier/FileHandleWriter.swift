internal import Files
internal import Glibc

/// Writes text straight to a descriptor, so that nothing is lost in a buffer when the process ends.
enum FileHandleWriter {
    /// Whoever does not read on wants no more of it.
    static func write(_ text: String, to descriptor: Int32) {
        try? OpenFile.write(text.utf8, to: descriptor, path: "descriptor \(descriptor)")
    }
}

/// What a descriptor's terminal is like.
enum Terminal {
    /// Whether the descriptor is a terminal.
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// How many characters a row has; 80 where the terminal does not say.
    static func columns(_ descriptor: Int32) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}
