import Foundation

/// What the command line asks for.
struct LoadOptions {
    var workers = 2
    var tasks = 2000
    var keepsJournal = false
    /// Level after level of so many tasks, until this time has passed; `nil` for one level.
    var seconds: Int?
    /// A file, `-` for standard output, `nil` for a line of text.
    var json: String?
    /// Where workers connect: this is their process.
    var endpoint: String?

    /// The command line is wrong.
    struct Usage: Error, CustomStringConvertible {
        let description =
            "usage: espalier-load [--workers W] [--tasks N] [--seconds S] [--journal] [--json FILE|-]"
    }

    init(_ arguments: ArraySlice<String>) throws {
        var arguments = arguments
        while let name = arguments.popFirst() {
            if name == "--journal" {
                keepsJournal = true
                continue
            }
            guard let value = arguments.popFirst() else { throw Usage() }
            switch (name, Int(value)) {
            case ("--workers", let count?) where (1...10_000).contains(count): workers = count
            case ("--tasks", let count?) where (1...10_000_000).contains(count): tasks = count
            case ("--seconds", let count?) where (1...1_000_000).contains(count): seconds = count
            case ("--json", _): json = value
            case ("--connect", _): endpoint = value
            default: throw Usage()
            }
        }
    }
}

/// What was measured.
struct LoadResult: Codable {
    let workers: Int
    let tasks: Int
    let seconds: Double
    /// CPU time of the coordinator's process, user and system.
    let coordinatorSeconds: Double
    let tasksPerSecond: Double
    let journal: Bool

    func write(to path: String?) throws {
        guard let path else {
            let each = coordinatorSeconds / Double(tasks) * 1e6
            print(
                "\(tasks) tasks, \(workers) workers: \(Int(tasksPerSecond)) tasks/s, \(Int(each)) µs CPU each"
            )
            return
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let data = try encoder.encode(self) + Data("\n".utf8)
        if path == "-" {
            FileHandle.standardOutput.write(data)
        } else {
            try data.write(to: URL(fileURLWithPath: path))
        }
    }
}
