internal import Foundation
internal import Glibc

/// How a worker's process ended, and what it had to say.
struct ProcessEnding: Sendable, CustomStringConvertible {
    private let exitStatus: Int32?
    private let signal: Int32
    private let lastLine: String?
    private let ranOutOfMemory: Bool

    /// - Parameters:
    ///   - status: the wait status.
    ///   - lastLine: the last line that the process wrote.
    ///   - hadMemoryKills: whether the system ended processes meanwhile because memory ran out.
    init(status: Int32, lastLine: String?, hadMemoryKills: Bool) {
        signal = status & 0x7F
        exitStatus = signal == 0 ? (status >> 8) & 0xFF : nil
        // A sentence of the program begins with its name.
        self.lastLine = lastLine.map { $0.hasPrefix("espalier: ") ? String($0.dropFirst(10)) : $0 }
        ranOutOfMemory = hadMemoryKills && signal == SIGKILL
    }

    /// `exit status 65: the run cannot be loaded: …`, `signal 9 (SIGKILL)`.
    var description: String {
        var text = exitStatus.map { "exit status \($0)" } ?? "signal \(signal)\(name)"
        if ranOutOfMemory {
            text +=
                ": this machine's memory ran out, and the system ended the process; fewer --workers, or less "
                + "--memory for each, take less"
        } else if let lastLine {
            text += ": \(lastLine.prefix(500))"
        }
        return text
    }

    private var name: String {
        let names: [Int32: String] = [
            SIGKILL: "SIGKILL", SIGSEGV: "SIGSEGV", SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGILL: "SIGILL",
            SIGFPE: "SIGFPE", SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGTRAP: "SIGTRAP", SIGXCPU: "SIGXCPU",
        ]
        return names[signal].map { " (\($0))" } ?? ""
    }
}

/// Counts how often the kernel ended a process because memory ran out: on the machine, and in this process' own group.
enum MemoryKills {
    /// So far; 0 where the system does not tell.
    static var count: Int {
        ["/proc/vmstat", "/sys/fs/cgroup/memory.events"].reduce(0) { sum, path in
            let text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
            return sum + count(in: text ?? "")
        }
    }

    /// The value of the line `oom_kill N`.
    static func count(in text: String) -> Int {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, words[0] == "oom_kill" { return Int(words[1]) ?? 0 }
        }
        return 0
    }
}
