import Dispatch
import Foundation
import Synchronization
import Testing

@testable import Cluster

/// Real processes, though not of this program: shell scripts stand in for workers. One after the other: a script that
/// is being written must not be open in a process that another test starts.
@Suite(.serialized, .timeLimit(.minutes(2))) struct LocalProcessTests {
    private func script(_ text: String) throws -> String {
        let path = "/tmp/espalier-test-\(UInt64.random(in: 0 ... .max)).sh"
        try ("#!/bin/sh\n" + text).write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
        return path
    }

    @Test func aProcessEndsWhenItsInputIsClosed() async throws {
        let path = try script("echo started; cat; echo over >&2; exit 3\n")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let lines = Mutex<[String]>([])
        let ending = Mutex("")
        let child = try ChildProcess(
            path, [], environment: ["PATH": "/usr/bin:/bin"],
            line: { line in lines.withLock { $0.append(line) } },
            end: { _, words in ending.withLock { $0 = "\(words)" } })
        #expect(!child.wait(until: .now() + 0.3))
        // A second process must not hold the first one's input open.
        let other = try ChildProcess(
            path, [], environment: ["PATH": "/usr/bin:/bin"], line: { _ in }, end: { _, _ in })
        child.closeInput()
        #expect(child.wait(until: .now() + 5))
        try await Task.sleep(for: .milliseconds(100))
        #expect(lines.withLock { $0 } == ["started", "over"])
        #expect(ending.withLock { $0 } == "exit status 3: over")
        other.closeInput()
        #expect(other.wait(until: .now() + 5))
    }

    /// What the Swift runtime writes of a crash: the reason among pages of other things.
    @Test func aCrashIsToldByItsReason() throws {
        let path = try script(
            "echo '*** Program crashed: Bad pointer dereference at 0x10 ***' >&2; echo 'Backtrace took 1s' >&2; kill -9 $$\n"
        )
        defer { try? FileManager.default.removeItem(atPath: path) }
        let ending = Mutex("")
        let ended = DispatchSemaphore(value: 0)
        let child = try ChildProcess(
            path, [], environment: ["PATH": "/usr/bin:/bin"], line: { _ in },
            end: { _, words in
                ending.withLock { $0 = "\(words)" }
                ended.signal()
            })
        #expect(ended.wait(timeout: .now() + 10) == .success)
        #expect(child.wait(until: .now() + 5))
        #expect(
            ending.withLock { $0 }
                == "signal 9 (SIGKILL): *** Program crashed: Bad pointer dereference at 0x10 ***")
    }

    /// wait(2): the signal in the lower seven bits, the exit status in the next byte.
    @Test func anEndingNamesStatusSignalLastWordsAndMissingMemory() {
        func words(_ status: Int32, _ line: String?, _ hadMemoryKills: Bool = false) -> String {
            "\(ProcessEnding(status: status, lastLine: line, hadMemoryKills: hadMemoryKills))"
        }
        #expect(
            words(65 << 8, "espalier: the run cannot be loaded: no disk")
                == "exit status 65: the run cannot be loaded: no disk")
        #expect(words(0, nil) == "exit status 0")
        #expect(words(11, "warming up") == "signal 11 (SIGSEGV): warming up")
        #expect(words(9, nil) == "signal 9 (SIGKILL)")
        #expect(words(9, nil, true).contains("memory ran out"))
        // Another process was ended meanwhile; this one crashed.
        #expect(!words(11, nil, true).contains("memory"))
    }

    /// The form of /proc/vmstat and of a control group's memory.events: a name and a number in each line.
    @Test func memoryKillsAreCountedWhereTheSystemCountsThem() {
        #expect(MemoryKills.count(in: "pgfault 12\noom_kill 3\nunevictable_pgs_culled 0\n") == 3)
        #expect(MemoryKills.count(in: "low 0\noom 1\noom_kill 2\noom_group_kill 9\n") == 2)
        #expect(MemoryKills.count(in: "") == 0)
    }

    @Test func aMissingProgramIsANamedError() throws {
        #expect(
            throws: ClusterError.cannotStart(
                executable: "/nowhere/espalier", reason: "No such file or directory")
        ) {
            _ = try ChildProcess("/nowhere/espalier", [], environment: [:], line: { _ in }, end: { _, _ in })
        }
    }

    @Test func workersThatDieBeforeTheyAreReadyStopTheRunWithTheirLastWords() async throws {
        let path = try script("echo cannot open shared object >&2; exit 127\n")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let problem = try SmallProblem()
        let cluster = try LocalCluster(
            workers: 1, executable: path, settings: problem.settings(), logger: quiet)
        defer { cluster.shutdown() }
        await #expect {
            try await cluster.runner.run(problem.base)
        } throws: { error in
            guard
                case ClusterError.workersDie(3, "exit status 127: cannot open shared object", let output) =
                    error
            else { return false }
            return output.last == "cannot open shared object"
        }
    }

    @Test func workersThatDoNotListenAreEndedAtShutdown() async throws {
        let path = try script("trap '' TERM\nwhile true; do sleep 1; done\n")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let problem = try SmallProblem()
        let cluster = try LocalCluster(
            workers: 2, executable: path, settings: problem.settings(), logger: quiet)
        let processes = cluster.processes
        #expect(processes.count == 2)
        cluster.shutdown()
        for process in processes { #expect(kill(process, 0) != 0) }
    }

    @Test func theFolderIsPrivateAndGoesWithItsOwner() throws {
        var folder: PrivateFolder? = try PrivateFolder()
        let path = try #require(folder?.path)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o700)
        #expect("\(path)\(PrivateFolder.socketName)".utf8.count <= 107)
        folder = nil
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func theFolderOfAKilledOwnerIsRemovedAndThatOfALivingOneIsNot() throws {
        let living = try PrivateFolder()
        let base = String(living.path[..<(living.path.lastIndex(of: "/") ?? living.path.startIndex)])
        // The process number of a process that has ended and was reaped.
        let ended = Process()
        ended.executableURL = URL(filePath: "/bin/true")
        try ended.run()
        ended.waitUntilExit()
        let stale = "\(base)/espalier-\(ended.processIdentifier)-AAAAAA"
        try FileManager.default.createDirectory(atPath: stale, withIntermediateDirectories: false)
        for name in ["lock", "coordinator"] {
            #expect(FileManager.default.createFile(atPath: "\(stale)/\(name)", contents: nil))
        }
        _ = try PrivateFolder()
        #expect(!FileManager.default.fileExists(atPath: stale))
        #expect(FileManager.default.fileExists(atPath: living.path))
    }
}
