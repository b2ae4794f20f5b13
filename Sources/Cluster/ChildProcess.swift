internal import Dispatch
internal import Foundation
internal import Glibc
internal import Synchronization

/// A worker's process, with a line to its standard input that stays open as long as it may live.
///
/// posix_spawn rather than a library that runs processes in structured tasks: the worker must outlive any one call,
/// notice at once when this process dies (its standard input ends), and be reaped by a thread that may block.
final class ChildProcess: Sendable {
    let process: Int32
    /// The line's end here; −1 once closed.
    private let input: Mutex<Int32>
    private let ended = DispatchSemaphore(value: 0)

    /// Starts a process.
    ///
    /// - Parameters:
    ///   - line: called with each line that the process writes, on a thread of its own.
    ///   - end: called on that thread when the process has ended, with how it did.
    /// - Throws: `ClusterError.cannotStart`.
    init(
        _ executable: String, _ arguments: [String], environment: [String: String],
        line: @escaping @Sendable (String) -> Void,
        end: @escaping @Sendable (ChildProcess, ProcessEnding) -> Void
    ) throws(ClusterError) {
        // Socket pairs, because they can be made close-on-exec in one step: otherwise a worker that another thread
        // starts at this moment would inherit an end, and keep this one's input open.
        var toChild: [Int32] = [-1, -1]
        var fromChild: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &toChild) == 0 else {
            throw .cannotStart(executable: executable, reason: SystemError.message())
        }
        guard socketpair(AF_UNIX, kind, 0, &fromChild) == 0 else {
            let reason = SystemError.message()
            toChild.forEach { _ = close($0) }
            throw .cannotStart(executable: executable, reason: reason)
        }
        var spawned: pid_t = 0
        let code = ChildProcess.spawn(
            executable, arguments, environment, input: toChild[0], output: fromChild[1], &spawned)
        close(toChild[0])
        close(fromChild[1])
        guard code == 0 else {
            close(toChild[1])
            close(fromChild[0])
            throw .cannotStart(executable: executable, reason: SystemError.message(code))
        }
        let process = spawned
        let killsBefore = MemoryKills.count
        self.process = process
        input = Mutex(toChild[1])
        let output = fromChild[0]
        let thread = Thread { [self] in
            let last = ChildProcess.forwardLines(output, to: line)
            close(output)
            let ending = ProcessEnding(
                status: ChildProcess.reap(process), lastLine: last,
                hadMemoryKills: MemoryKills.count > killsBefore)
            closeInput()
            ended.signal()
            end(self, ending)
        }
        thread.name = "espalier-child"
        thread.start()
    }

    /// Ends the process's standard input, which a worker takes as its parent's end.
    func closeInput() {
        input.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }

    /// Waits for the process to end.
    ///
    /// - Returns: whether it did in time.
    func wait(until deadline: DispatchTime) -> Bool {
        guard ended.wait(timeout: deadline) == .success else { return false }
        ended.signal()
        return true
    }

    /// Ends the process without asking, and what it started: a script's programs would keep its output open.
    func kill() { if !wait(until: .now()) { Glibc.kill(-process, SIGKILL) } }

    private static func spawn(
        _ executable: String, _ arguments: [String], _ environment: [String: String], input: Int32,
        output: Int32,
        _ process: inout pid_t
    ) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        // What a worker prints must not mix with this program's own output.
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A process group of its own: Ctrl-C is for the coordinator, which sends its workers home. And signals as a
        // new process expects them, whatever this one ignores.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(truncatingIfNeeded: Int(flags)))

        var words = ([executable] + arguments).map { strdup($0) }
        var variables = environment.map { strdup("\($0)=\($1)") }
        defer { for pointer in words + variables { free(pointer) } }
        words.append(nil)
        variables.append(nil)
        return posix_spawn(&process, executable, &actions, &attributes, words, variables)
    }

    /// Hands on each line.
    ///
    /// - Returns: the last one that says anything, or the one that says why the program crashed.
    private static func forwardLines(_ descriptor: Int32, to take: (String) -> Void) -> String? {
        var (last, crash): (String?, String?)
        func line(_ text: String) {
            if !text.allSatisfy(\.isWhitespace) { last = text }
            // Swift writes pages of registers and libraries after it.
            if text.contains("Program crashed:") || text.contains("Fatal error:") { crash = crash ?? text }
            take(text)
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        var rest: [UInt8] = []
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            rest += buffer[..<count]
            while let end = rest.firstIndex(of: 0x0A) {
                line(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
            // A line without an end must not grow for ever.
            if rest.count > 1 << 16 {
                line(String(decoding: rest, as: UTF8.self))
                rest = []
            }
        }
        if !rest.isEmpty { line(String(decoding: rest, as: UTF8.self)) }
        return crash ?? last
    }

    /// Waits for the process, and returns its wait status.
    private static func reap(_ process: Int32) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status
    }
}
