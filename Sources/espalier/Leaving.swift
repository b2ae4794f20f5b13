internal import ArgumentParser
internal import Glibc
internal import Pruning

/// How the process ends.
enum Leaving {
    /// Has the process go at once when it exits: what has to end well has ended before, and libtorch would take back
    /// thousands of operators one by one, which takes longer than many a command.
    static func prepare() { on_exit(leave, nil) }

    /// Listens for signals: the first asks the work to stop, a second ends the process at once.
    ///
    /// The terminal shows `^C` where the cursor is; what comes next begins on a line of its own.
    static func interruption() -> Interruption {
        let interruption = Interruption {
            if StandardError.isTerminal { FileHandleWriter.write("\n", to: 2) }
            _exit(ExitStatus.interrupted.rawValue)
        }
        interruption.onRequest { StandardError.interrupted() }
        return interruption
    }
}

/// Prints what is still in the buffers, and goes. A command that succeeded has failed after all where what it printed was
/// not taken, e.g. by a full disk.
private func leave(status: Int32, _: UnsafeMutableRawPointer?) {
    errno = 0
    let isPrinted = fflush(nil) == 0
    // Whoever does not read on wants no more of it.
    guard status == 0, !isPrinted, errno != EPIPE else { _exit(status) }
    let reason = errno == 0 ? "" : ": \(String(cString: strerror(errno)))"
    StandardError.write("espalier: standard output cannot be written\(reason)\n")
    _exit(ExitStatus.badInput.rawValue)
}
