import Coordination
import Foundation
import Synchronization
import Testing
import Work

@testable import Cluster

@Suite(.timeLimit(.minutes(2))) struct CacheLimitTests {
    /// About the bytes of a content.
    private let size = 2 * ChunkRequest.largestCount

    private func exists(_ source: Source, in cache: String, _ kind: String = "contents") -> Bool {
        FileManager.default.fileExists(atPath: "\(cache)/\(kind)/\(source.content.hexadecimal)")
    }

    private func age(_ source: Source, in cache: String, by seconds: Double) throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -seconds)],
            ofItemAtPath: "\(cache)/contents/\(source.content.hexadecimal)")
    }

    /// Fetches a content, and needs it no longer.
    private func use(_ source: Source, in cache: String, limit: Int) throws {
        let fetcher = source.fetcher(cache, limit: limit)
        _ = try fetcher.path(of: source.content)
        fetcher.release(source.content)
    }

    @Test func whatWasUsedLongestAgoGoesFirst() throws {
        try withFolder { folder in
            let cache = folder + "/cache"
            let sources = try (1...4).map { try Source(size + $0, in: folder) }
            // Room for three, not for four.
            let limit = sources[0].content.size * 7 / 2
            for source in sources[..<3] { try use(source, in: cache, limit: limit) }
            for (index, source) in sources[..<3].enumerated() {
                try age(source, in: cache, by: 1000 - Double(index))
            }
            // The oldest one is used again.
            try use(sources[0], in: cache, limit: limit)
            #expect(sources[0].askedBytes == sources[0].content.size, "it was there still")
            try use(sources[3], in: cache, limit: limit)
            #expect(sources.map { exists($0, in: cache) } == [true, false, true, true])
        }
    }

    @Test func whatSomebodyUsesStaysUntilItIsReleased() throws {
        try withFolder { folder in
            let cache = folder + "/cache"
            let sources = try (1...3).map { try Source(size + $0, in: folder) }
            let user = sources[0].fetcher(cache, limit: 1)
            _ = try user.path(of: sources[0].content)
            try age(sources[0], in: cache, by: 1000)
            try use(sources[1], in: cache, limit: 1)
            #expect(exists(sources[0], in: cache))
            user.release(sources[0].content)
            try use(sources[2], in: cache, limit: 1)
            #expect(!exists(sources[0], in: cache) && !exists(sources[1], in: cache))
        }
    }

    @Test func whatAnotherWorkerWritesStaysAndWhatItLeftGoes() throws {
        try withFolder { folder in
            let cache = folder + "/cache"
            let sources = try (1...3).map { try Source(size + $0, in: folder, answers: $0 == 1 ? 1 : .max) }
            let writer = sources[0].fetcher(cache)
            let ended = Mutex(false)
            writer.fetch(sources[0].content) { _ in ended.withLock { $0 = true } }
            while sources[0].left.withLock({ $0 }) > 0 { usleep(1000) }
            try use(sources[1], in: cache, limit: 1)
            #expect(exists(sources[0], in: cache, "partial"))
            writer.close()
            while !ended.withLock({ $0 }) { usleep(1000) }
            try use(sources[2], in: cache, limit: 1)
            #expect(!exists(sources[0], in: cache, "partial"))
        }
    }

    @Test func aDeadWorkersModelFolderDoesNotKeepWhatIsRemoved() throws {
        try withFolder { folder in
            let cache = folder + "/cache"
            let files = FileManager.default
            for (name, age) in [("1-1", 3600.0), ("2-2", 1.0)] {
                try files.createDirectory(
                    atPath: "\(cache)/models/\(name)", withIntermediateDirectories: true)
                try files.setAttributes(
                    [.modificationDate: Date(timeIntervalSinceNow: -age)],
                    ofItemAtPath: "\(cache)/models/\(name)")
            }
            try use(Source(size, in: folder), in: cache, limit: 1)
            #expect(try files.contentsOfDirectory(atPath: cache + "/models") == ["2-2"])
        }
    }
}
